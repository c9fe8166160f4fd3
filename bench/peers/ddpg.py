#!/usr/bin/env python3
"""A training step of DDPG in plain PyTorch, and the time it takes.

    python3 ddpg.py --observation 17 --actions 6 --hidden 256,256 --batch 256 --threads 1

A step draws a minibatch from a replay memory, computes targets, makes a step of Adam on the critic and one on the actor, and moves both
target networks. The critic's parameters need no gradient while the actor's is computed, and the optimiser and the targets work on lists of
tensors where that is faster: both forms are measured, and the faster one counts. Times are milliseconds; all that the memory holds is standard
normal. The settings that must stand before it starts are those of peer.py.
"""

import argparse
import copy
import json
import time

import torch
from torch import nn

GAMMA, TAU, RATE = 0.99, 0.005, 1e-3


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--observation", type=int, default=17, help="numbers of an observation")
    parser.add_argument("--actions", type=int, default=6, help="numbers of an action")
    parser.add_argument("--hidden", default="64,64", help="units of the hidden layers of both networks")
    parser.add_argument("--batch", type=int, default=64, help="experiences of a step")
    parser.add_argument("--rows", type=int, default=10_000, help="experiences in the memory")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0, help="time for each form")
    return parser.parse_args()


def network(sizes, last):
    modules = []
    for before, after in zip(sizes[:-2], sizes[1:-1]):
        modules += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*modules, nn.Linear(sizes[-2], sizes[-1]), *last)


class Training:
    """The networks and the memory."""

    def __init__(self, arguments, has_lists):
        torch.manual_seed(1)
        hidden = [int(units) for units in arguments.hidden.split(",")]
        observation, actions, rows = arguments.observation, arguments.actions, arguments.rows
        self.batch, self.has_lists = arguments.batch, has_lists
        self.actor = network([observation] + hidden + [actions], [nn.Tanh()])
        self.critic = network([observation + actions] + hidden + [1], [])
        self.actor_target, self.critic_target = copy.deepcopy(self.actor), copy.deepcopy(self.critic)
        self.actor_optimiser = torch.optim.Adam(self.actor.parameters(), lr=RATE, foreach=has_lists)
        self.critic_optimiser = torch.optim.Adam(self.critic.parameters(), lr=RATE, foreach=has_lists)
        self.observations, self.following = torch.randn(rows, observation), torch.randn(rows, observation)
        self.actions, self.rewards = torch.randn(rows, actions).tanh(), torch.randn(rows, 1)
        self.continues = torch.ones(rows, 1)

    @torch.no_grad()
    def follow(self, network, target):
        parameters, targets = list(network.parameters()), list(target.parameters())
        if self.has_lists:
            torch._foreach_mul_(targets, 1 - TAU)
            torch._foreach_add_(targets, parameters, alpha=TAU)
        else:
            for parameter, follower in zip(parameters, targets):
                follower.lerp_(parameter, TAU)

    def step(self):
        drawn = torch.randint(len(self.rewards), (self.batch,))
        observations, actions, following = self.observations[drawn], self.actions[drawn], self.following[drawn]
        with torch.no_grad():
            next_values = self.critic_target(torch.cat([following, self.actor_target(following)], 1))
            targets = self.rewards[drawn] + GAMMA * self.continues[drawn] * next_values
        loss = nn.functional.mse_loss(self.critic(torch.cat([observations, actions], 1)), targets)
        self.critic_optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.critic_optimiser.step()
        self.critic.requires_grad_(False)
        objective = -self.critic(torch.cat([observations, self.actor(observations)], 1)).mean()
        self.actor_optimiser.zero_grad(set_to_none=True)
        objective.backward()
        self.actor_optimiser.step()
        self.critic.requires_grad_(True)
        self.follow(self.critic, self.critic_target)
        self.follow(self.actor, self.actor_target)


def fastest(training, seconds):
    """The least time of a step among groups of steps, in seconds."""
    for _ in range(50):
        training.step()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        for _ in range(20):
            training.step()
        best = min(best, (time.perf_counter() - started) / 20)
    return best


def main():
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    times = [fastest(Training(arguments, has_lists), arguments.seconds) for has_lists in [False, True]]
    print(json.dumps({"step": 1000 * min(times), "forms": [1000 * seconds for seconds in times]}))


main()
