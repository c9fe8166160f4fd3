#!/usr/bin/env python3
"""A trust-region update in plain PyTorch, as the usual libraries write it, and the time it takes.

    python3 peer.py --shape 17-64-64-6 --family gaussian --batch 2048 --threads 2

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
import statistics
import sys

import torch
from torch import nn
from torch.distributions import Categorical, Independent, Normal, kl_divergence
from torch.nn.utils import parameters_to_vector, vector_to_parameters

imported = time.time()

DELTA = 0.01  # nats
DAMPING = 0.1


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", default="4-64-64-2", help="units of each layer, observations first")
    parser.add_argument("--family", default="categorical", choices=["categorical", "gaussian"])
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


def layers(widths):
    """Dense layers with tanh between them."""
    modules = [nn.Linear(widths[0], widths[1])]
    for inputs, outputs in zip(widths[1:], widths[2:]):
        modules += [nn.Tanh(), nn.Linear(inputs, outputs)]
    return nn.Sequential(*modules)


class Policy(nn.Module):
    """Observations to action distributions. The log sigma of a Gaussian policy does not depend on them."""

    def __init__(self, widths, family):
        super().__init__()
        self.network = layers(widths)
        self.log_sigma = nn.Parameter(torch.zeros(widths[-1])) if family == "gaussian" else None

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
        widths = [int(units) for units in arguments.shape.split("-")]
        torch.manual_seed(1)
        self.arguments = arguments
        self.critic_threads = arguments.threads
        self.policy = Policy(widths, arguments.family)
        self.parameters = list(self.policy.parameters())
        self.critic = layers(widths[:-1] + [1])
        self.optimizer = torch.optim.Adam(self.critic.parameters(), lr=1e-3)
        self.observations = torch.randn(arguments.batch, widths[0])
        self.advantages = torch.randn(arguments.batch)
        self.returns = torch.randn(arguments.batch)
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
            for rows in torch.randperm(self.arguments.batch).split(self.arguments.minibatch):
                self.fit_minibatch(rows)
        torch.set_num_threads(self.arguments.threads)

    def choose_critic_threads(self):
        """Minibatches are small: one thread may well be faster than several."""
        rows = torch.arange(min(self.arguments.minibatch, self.arguments.batch))

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
    """Minimum and median of repeated calls in ms. The first one warms up and is not counted, unless it took all the time."""
    times = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
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
    product = update.fisher(update.policy(update.observations))
    v = torch.randn(sum(parameter.numel() for parameter in update.parameters))
    actions = {
        "product": lambda: product(v),
        "actor": update.actor,
        "critic": update.fit_critic,
        "update": update.whole,
    }
    times = {name: measure(actions[name], arguments.seconds) for name in arguments.measure.split(",")}
    return {"criticThreads": update.critic_threads, "milliseconds": times}


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
