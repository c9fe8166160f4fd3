"""A stand-in for Gymnasium in the tests: its interface, and environments that are quick to check."""

import os
import signal
import time
from types import SimpleNamespace

import numpy as np


class Space:
    def __repr__(self):
        return type(self).__name__


class Discrete(Space):
    def __init__(self, n, start=0):
        self.n, self.start, self.shape, self.dtype = np.int64(n), np.int64(start), (), np.dtype(np.int64)


class Box(Space):
    def __init__(self, low, high, shape, dtype):
        self.shape, self.dtype = shape, np.dtype(dtype)
        self.low = np.full(shape, low, dtype)
        self.high = np.full(shape, high, dtype)


class MultiDiscrete(Space):
    def __init__(self, nvec):
        self.nvec = np.array(nvec)
        self.shape, self.dtype = self.nvec.shape, np.dtype(np.int64)
        self.start = np.zeros_like(self.nvec)


class MultiBinary(Space):
    def __init__(self, shape):
        self.n, self.shape, self.dtype = shape, shape, np.dtype(np.int8)


class Dict(Space):
    """Sorts the keys of a plain dictionary, as Gymnasium does, and keeps the order of others."""

    def __init__(self, spaces):
        self.spaces = {key: spaces[key] for key in sorted(spaces)} if type(spaces) is dict else dict(spaces)
        self.shape = self.dtype = None


class Tuple(Space):
    def __init__(self, spaces):
        self.spaces, self.shape, self.dtype = tuple(spaces), None, None


class Text(Space):
    pass


class Walk:
    """Halves its position and adds the action, an index from 3 to 5. Ends below −3, or after 7 steps."""

    observation_space = Box(-np.inf, np.inf, (2, 2), np.float64)
    action_space = Discrete(3, start=3)

    def reset(self, *, seed=None, options=None):
        self.x, self.steps = (seed % 1000) / 1000, 0
        return self.see(), {}

    def step(self, action):
        assert type(action) is int and 3 <= action < 6, action
        print("this goes to the errors")
        self.x = 0.5 * self.x + action - 4.5
        self.steps += 1
        return self.see(), self.x, self.x < -0.9, self.steps == 7, {}

    def see(self):
        return np.array([[self.x, self.steps], [1.0, -self.x]])


class Choices:
    """Shows its last action, and is worth its sum."""

    observation_space = MultiDiscrete([2, 3, 5])
    action_space = MultiDiscrete([2, 3, 5])

    def reset(self, *, seed=None, options=None):
        self.last, self.steps = np.array([seed % 2, seed % 3, seed % 5]), 0
        return self.last, {}

    def step(self, action):
        assert action.dtype == np.int64 and action.shape == (3,), action
        self.last, self.steps = action, self.steps + 1
        return self.last, action.sum(), False, self.steps == 4, {}


class Switches(Choices):
    observation_space = MultiBinary((2, 2))
    action_space = Box(-1, 1, (2, 2), np.float32)

    def reset(self, *, seed=None, options=None):
        self.last, self.steps = np.array([[seed % 2, 0], [1, 0]], np.int8), 0
        return self.last, {}

    def step(self, action):
        assert action.dtype == np.float32 and action.shape == (2, 2), action
        self.last, self.steps = (action > 0).astype(np.int8), self.steps + 1
        return self.last, float(action[1, 0]), False, self.steps == 4, {}


class Accident(Walk):
    """Something happens in the fifth step of the life of each."""

    def __init__(self, what):
        self.what, self.life = what, 0

    def step(self, action):
        self.life += 1
        if self.life == 5:
            self.what()
        return super().step(action)


class Masked(Walk):
    """An action is legal if its index and the time do not add up to a multiple of 3, and the last one always. The info says so."""

    def legal(self):
        return np.array([(i + self.steps) % 3 != 0 or i == 2 for i in range(3)], np.int8)

    def info(self):
        return {"action_mask": self.legal()}

    def reset(self, *, seed=None, options=None):
        observation, _ = super().reset(seed=seed)
        return observation, self.info()

    def step(self, action):
        assert self.legal()[action - 3] == 1, action
        observation, reward, terminated, truncated, _ = super().step(action)
        return observation, reward, terminated, truncated, self.info()


class MaskedByMethod(Masked):
    """The same by a method, inside of a wrapper."""

    def info(self):
        return {}

    def action_masks(self):
        return self.legal().astype(bool)


class Wrapper:
    """Has the attributes of the environment inside, except for its methods beside the interface."""

    def __init__(self, env):
        self.env = env
        self.observation_space, self.action_space = env.observation_space, env.action_space
        self.reset, self.step = env.reset, env.step


class MaskedChoices(Choices):
    """Choices whose first alternatives are legal, and the others only at even times. The mask is a tuple of a mask for each."""

    def reset(self, *, seed=None, options=None):
        observation, _ = super().reset(seed=seed)
        return observation, self.info()

    def step(self, action):
        return *super().step(action)[:4], self.info()

    def info(self):
        mask = tuple(np.array([i == 0 or self.steps % 2 == 0 for i in range(n)], np.int8) for n in (2, 3, 5))
        return {"action_mask": mask}


class BadMask(Masked):
    """From step 5 of an episode on, the mask is another one."""

    def __init__(self, mask):
        self.mask = mask

    def info(self):
        return super().info() if self.steps < 5 else {"action_mask": self.mask} if self.mask is not None else {}

    def step(self, action):
        observation, reward, _, truncated, info = super().step(action)
        return observation, reward, False, truncated, info


class MaskedBox(Switches):
    def action_masks(self):
        return np.ones(4)


class Unknown(Walk):
    observation_space = Dict({"words": Text()})


def nested(depth):
    return Discrete(2) if depth == 0 else Tuple([nested(depth - 1)])


class Deep(Walk):
    observation_space = nested(17)


class Parts:
    """Shows the last action and the time, and is worth the number that it points to."""

    observation_space = Dict({"time": Discrete(9), "last": Tuple([Discrete(3, start=1), Box(-1, 1, (2,), np.float32)])})
    action_space = Tuple([Discrete(3, start=1), Dict({"point": Box(-1, 1, (2,), np.float32), "lamp": MultiBinary((2,))})])

    def reset(self, *, seed=None, options=None):
        self.steps, self.last = 0, (1 + seed % 3, np.zeros(2))
        return self.see(), {}

    def step(self, action):
        index, hand = action
        assert type(action) is tuple and type(index) is int and 1 <= index < 4, action
        assert list(hand) == ["lamp", "point"] and hand["lamp"].dtype == np.int8, hand
        self.steps, self.last = self.steps + 1, (index, hand["point"])
        return self.see(), float(hand["point"][0]) + int(hand["lamp"][1]), False, self.steps == 4, {}

    def see(self):
        return {"last": self.last, "time": self.steps}


class MaskedParts(Walk):
    """Each part of an action has a mask of its own, by its name."""

    action_space = Dict({"b": Discrete(2), "a": MultiDiscrete([3, 1])})

    def step(self, action):
        assert list(action) == ["a", "b"] and action["b"] == 0, action
        observation, *rest = super().step(3 + int(action["a"][0]))
        return observation, *rest[:-1], self.info()

    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed)[0], self.info()

    def info(self):
        return {"action_mask": {"b": np.array([1, 0]), "a": (np.array([1, 0, 1]), np.ones(1))}}


def fail():
    raise ValueError("out of fuel")


class Interruptible(Walk):
    """An interrupt ends it, as it ends most simulators that a terminal interrupts."""

    def __init__(self):
        signal.signal(signal.SIGINT, signal.default_int_handler)


def once(what):
    """Does it only if the file that a variable names is not there, and makes the file."""

    def guarded():
        marker = os.environ["FUNTRPO_TESTS_MARKER"]
        if not os.path.exists(marker):
            open(marker, "w").close()
            what()

    return guarded


environments = {
    "Walk-v0": Walk,
    "Choices-v0": Choices,
    "Switches-v0": Switches,
    "Unknown-v0": Unknown,
    "Deep-v0": Deep,
    "Parts-v0": Parts,
    "MaskedParts-v0": MaskedParts,
    "Masked-v0": Masked,
    "MaskedByMethod-v0": lambda: Wrapper(MaskedByMethod()),
    "MaskedChoices-v0": MaskedChoices,
    "MaskedBox-v0": MaskedBox,
    "LongMask-v0": lambda: BadMask(np.ones(4)),
    "HalfMask-v0": lambda: BadMask(np.array([0.5, 1, 1])),
    "NoMask-v0": lambda: BadMask(None),
    "EmptyMask-v0": lambda: BadMask(np.zeros(3)),
    "Fails-v0": lambda: Accident(fail),
    "Dies-v0": lambda: Accident(lambda: os._exit(7)),
    "DiesOnce-v0": lambda: Accident(once(lambda: os._exit(7))),
    "Interruptible-v0": Interruptible,
    "Hangs-v0": lambda: Accident(lambda: time.sleep(1000)),
}


def make(id, **kwargs):
    if id not in environments:
        raise LookupError(f"there is no {id}")
    return environments[id]()


spaces = SimpleNamespace(Discrete=Discrete, Box=Box, MultiDiscrete=MultiDiscrete, MultiBinary=MultiBinary)
