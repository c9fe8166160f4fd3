#!/usr/bin/env python3
"""A trust-region update in plain PyTorch, as the usual libraries write it, and the time it takes.

    python3 peer.py --shape 17-64-64-6 --family gaussian --batch 2048 --threads 2
    python3 peer.py --observation 84x84x4 --architecture "conv 16 4x4 stride 2 relu; flatten; dense 20 relu" --actions 6
    python3 peer.py --observation 17 --architecture "gru 64" --actions 6 --batch 2048 --sequences 16

The Fisher-vector product differentiates the mean KL twice: the graph of its gradient is made once an update and kept,
and each product is one more backward pass through it. Times are milliseconds; observations are standard normal, actions
are drawn from the policy, advantages and returns are standard normal.

On Debian (python3-torch, libopenblas0-openmp) it is at its best with these settings, which must stand before it starts:

    LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu/openblas-openmp OPENBLAS_CORETYPE=SKYLAKEX ATEN_CPU_CAPABILITY=avx512
"""

import time

script_start = time.time()

import argparse
import json
import math
import resource
import statistics
import sys

import torch
from torch import nn
from torch.distributions import Categorical, Independent, Normal, kl_divergence
from torch.nn.utils import parameters_to_vector, vector_to_parameters

imported = time.time()

DELTA = 0.01  # nats
DAMPING = 0.1

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}
LAYERS_WITH_MEMORY = {"gru": nn.GRU, "lstm": nn.LSTM}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", default="4-64-64-2", help="units of each layer, observations first")
    parser.add_argument("--family", default="categorical", choices=["categorical", "gaussian"])
    parser.add_argument("--observation", help="axes of an observation, as in 84x84x4, of a network with --architecture")
    parser.add_argument("--architecture", help="hidden layers with semicolons between, in place of --shape")
    parser.add_argument("--actions", type=int, default=6, help="alternatives of a network with --architecture")
    parser.add_argument("--sequences", type=int, default=1, help="sequences that the batch is, for layers with memory")
    parser.add_argument("--batch", type=int, default=2048, help="samples of one update")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--products", type=int, default=10, help="conjugate-gradient iterations; one more product follows")
    parser.add_argument("--evaluations", type=int, default=1, help="points that the line search looks at")
    parser.add_argument("--epochs", type=int, default=10, help="passes of the critic's fit over the batch")
    parser.add_argument("--minibatch", type=int, default=128, help="samples of one step of the critic's fit")
    parser.add_argument("--measure", default="product,actor,critic,update", help="what is measured, with commas between")
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each measurement")
    parser.add_argument("--started", type=float, default=script_start, help="Unix time at which this process was started")
    parser.add_argument("--imports-only", action="store_true", help="measure nothing but the import of the packages")
    parser.add_argument("--json", help="file for the results; standard output where it is missing")
    return parser.parse_args()


class Recurrent(nn.Module):
    """A layer with memory, over whole sequences that begin without any."""

    def __init__(self, kind, inputs, units):
        super().__init__()
        self.layer = LAYERS_WITH_MEMORY[kind](inputs, units, batch_first=True)

    def forward(self, sequences):
        return self.layer(sequences)[0]


def convolution(shape, filters, window, stride):
    """A convolution of pictures of channels, height and width, and the shape of its output."""
    size = [int(side) for side in window.split("x")]
    places = [(side - length) // stride + 1 for side, length in zip(shape[1:], size)]
    return nn.Conv2d(shape[0], filters, size, stride), [filters] + places


def hidden_layer(text, shape):
    """The modules of a layer, such as `conv 16 3x3 stride 1 relu`, on inputs of a shape, and the shape of its output."""
    kind, *words = text.split()
    if kind == "flatten":
        return [nn.Flatten()], [math.prod(shape)]
    units = int(words[0])
    if kind in LAYERS_WITH_MEMORY:
        return [Recurrent(kind, shape[-1], units)], [units]
    if kind == "dense":
        return [nn.Linear(shape[-1], units), ACTIVATIONS[words[1]]()], [units]
    layer, output = convolution(shape, units, words[1], int(words[3]))
    return [layer, ACTIVATIONS[words[4]]()], output


def layers(observation, architecture, outputs):
    """The hidden layers, and a dense layer after them."""
    modules, shape = [], observation
    for text in architecture:
        of_layer, shape = hidden_layer(text, shape)
        modules += of_layer
    return nn.Sequential(*modules, nn.Linear(shape[-1], outputs))


def network_of(arguments):
    """The shape of an observation, the hidden layers and the outputs. A picture has its channels first, as PyTorch wants it."""
    if arguments.architecture is None:
        first, *hidden, outputs = [int(units) for units in arguments.shape.split("-")]
        return [first], [f"dense {units} tanh" for units in hidden], outputs
    *sides, channels = [int(axis) for axis in arguments.observation.split("x")]
    return [channels] + sides, arguments.architecture.split(";"), arguments.actions


class Policy(nn.Module):
    """Observations to action distributions. The log sigma of a Gaussian policy does not depend on them."""

    def __init__(self, observation, architecture, outputs, family):
        super().__init__()
        self.network = layers(observation, architecture, outputs)
        self.log_sigma = nn.Parameter(torch.zeros(outputs)) if family == "gaussian" else None

    def forward(self, observations):
        outputs = self.network(observations)
        if self.log_sigma is None:
            return Categorical(logits=outputs, validate_args=False)
        return Independent(Normal(outputs, self.log_sigma.exp(), validate_args=False), 1, validate_args=False)


def detached(distribution):
    """The same distribution, as a constant."""
    if isinstance(distribution, Categorical):
        return Categorical(logits=distribution.logits.detach(), validate_args=False)
    normal = distribution.base_dist
    return Independent(Normal(normal.loc.detach(), normal.scale.detach(), validate_args=False), 1, validate_args=False)


def flat_gradient(value, parameters, **options):
    return torch.cat([part.reshape(-1) for part in torch.autograd.grad(value, parameters, **options)])


class Update:
    """One update of a policy and its critic on a batch."""

    def __init__(self, arguments):
        observation, architecture, outputs = network_of(arguments)
        has_memory = any(text.split()[0] in LAYERS_WITH_MEMORY for text in architecture)
        rows = [arguments.sequences, arguments.batch // arguments.sequences] if has_memory else [arguments.batch]
        torch.manual_seed(1)
        self.arguments = arguments
        self.critic_threads = arguments.threads
        # A minibatch has whole sequences.
        self.groups_of_minibatch = max(1, arguments.minibatch // math.prod(rows[1:]))
        self.policy = Policy(observation, architecture, outputs, arguments.family)
        self.parameters = list(self.policy.parameters())
        self.critic = layers(observation, architecture, 1)
        self.optimizer = torch.optim.Adam(self.critic.parameters(), lr=1e-3)
        self.observations = torch.randn(*rows, *observation)
        if len(observation) == 3:  # PyTorch is fastest with pictures whose channels come last in memory.
            self.observations = self.observations.contiguous(memory_format=torch.channels_last)
        self.advantages = torch.randn(rows)
        self.returns = torch.randn(rows)
        with torch.no_grad():
            self.actions = self.policy(self.observations).sample()

    def fisher(self, distribution):
        """v -> F v + damping v, by differentiating the mean KL twice."""
        mean_kl = kl_divergence(detached(distribution), distribution).mean()
        gradient = flat_gradient(mean_kl, self.parameters, create_graph=True)
        return lambda v: flat_gradient(gradient @ v, self.parameters, retain_graph=True) + DAMPING * v

    def conjugate_gradient(self, product, b):
        x = torch.zeros_like(b)
        r, p, squared = b.clone(), b.clone(), b @ b
        for _ in range(self.arguments.products):
            ap = product(p)
            alpha = squared / (p @ ap)
            x += alpha * p
            r -= alpha * ap
            following = r @ r
            p = r + (following / squared) * p
            squared = following
        return x

    def surrogate(self, distribution, old_log_probabilities):
        ratio = torch.exp(distribution.log_prob(self.actions) - old_log_probabilities)
        return (ratio * self.advantages).mean()

    def actor(self):
        """Gradient, conjugate gradient, step length and line search. The old parameters are put back at the end."""
        distribution = self.policy(self.observations)
        old = detached(distribution)
        old_log_probabilities = distribution.log_prob(self.actions).detach()
        gain = self.surrogate(distribution, old_log_probabilities)
        gradient = flat_gradient(gain, self.parameters, retain_graph=True)
        product = self.fisher(distribution)
        direction = self.conjugate_gradient(product, gradient)
        step = torch.sqrt(2 * DELTA / (direction @ product(direction))) * direction
        start = parameters_to_vector(self.parameters).detach()
        with torch.no_grad():
            for attempt in range(self.arguments.evaluations):
                vector_to_parameters(start + 0.8**attempt * step, self.parameters)
                new = self.policy(self.observations)
                self.surrogate(new, old_log_probabilities).item(), kl_divergence(old, new).mean().item()
            vector_to_parameters(start, self.parameters)

    def fit_minibatch(self, rows):
        values = self.critic(self.observations[rows]).squeeze(-1)
        loss = nn.functional.mse_loss(values, self.returns[rows])
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()

    def fit_critic(self):
        """Adam on the mean squared error, over random minibatches."""
        torch.set_num_threads(self.critic_threads)
        for _ in range(self.arguments.epochs):
            for rows in torch.randperm(len(self.observations)).split(self.groups_of_minibatch):
                self.fit_minibatch(rows)
        torch.set_num_threads(self.arguments.threads)

    def choose_critic_threads(self):
        """Minibatches are small: one thread may well be faster than several."""
        rows = torch.arange(min(self.groups_of_minibatch, len(self.observations)))

        def minibatches():
            for _ in range(20):
                self.fit_minibatch(rows)

        def time_with(threads):
            torch.set_num_threads(threads)
            return measure(minibatches, 0.2)["minimum"]

        self.critic_threads = min((1, self.arguments.threads), key=time_with)
        torch.set_num_threads(self.arguments.threads)

    def whole(self):
        self.actor()
        self.fit_critic()


def measure(action, seconds):
    """Minimum and median of repeated calls in ms. The first one warms up and is not counted, unless there is no time for another."""
    times = []
    end = time.perf_counter() + seconds
    while len(times) < min(1 + math.ceil(seconds), 2) or time.perf_counter() < end:
        start = time.perf_counter()
        action()
        times.append(1e3 * (time.perf_counter() - start))
    times = times[1:] or times
    return {"minimum": min(times), "median": statistics.median(times), "repeats": len(times)}


def gemm_gflops(seconds):
    """What the BLAS library behind PyTorch reaches, in GFLOP/s."""
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    return 2 * 2048**3 / measure(lambda: a @ b, seconds)["minimum"] / 1e6


def measurements(arguments):
    update = Update(arguments)
    update.choose_critic_threads()
    names = arguments.measure.split(",")
    actions = {"actor": update.actor, "critic": update.fit_critic, "update": update.whole}
    if "product" in names:  # Its graph would otherwise take memory.
        product = update.fisher(update.policy(update.observations))
        v = torch.randn(sum(parameter.numel() for parameter in update.parameters))
        actions["product"] = lambda: product(v)
    times = {name: measure(actions[name], arguments.seconds) for name in names}
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"criticThreads": update.critic_threads, "milliseconds": times, "peakBytes": peak}


def main():
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    results = {
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "importSeconds": imported - arguments.started,
    }
    if not arguments.imports_only:
        results["threads"] = arguments.threads
        results["gemmGflops"] = gemm_gflops(min(0.3, arguments.seconds))
        results.update(measurements(arguments))
    text = json.dumps(results, indent=2)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            file.write(text + "\n")
    else:
        print(text)


main()
