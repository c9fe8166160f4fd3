"""Serves an environment of Gymnasium to FunTrpo, over standard input and output: python3 gymnasium_server.py ID

It needs only Gymnasium and NumPy. docs/remote.md of FunTrpo describes the messages. Everything is little-endian.
"""

import os
import signal
import struct
import sys

VERSION = 1
MAGIC = 0x50525446  # FTRP
HELLO, WELCOME, RESET, RESET_DONE, STEP, STEP_DONE, ERROR, CLOSE = range(1, 9)
COUNT = 1024  # environments at most; each is made when it is used first
LONGEST_TEXT = 1 << 10
DEEPEST = 16  # levels of Dict and Tuple

# In a terminal, Ctrl-C reaches this process, too. The client finishes its iteration, and then leaves.
signal.signal(signal.SIGINT, signal.SIG_IGN)
requests = sys.stdin.buffer
answers = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)  # what an environment prints must not come between the messages


class Failed(Exception):
    """An environment has failed, at this position of the call; at -1 it is not about one of them."""

    def __init__(self, position, text):
        super().__init__(text)
        self.position = position


def read(count):
    content = requests.read(count)
    if len(content) < count:
        sys.exit(0)  # the client has left
    return content


def receive():
    length, kind = struct.unpack("<IB", read(5))
    return kind, read(length)


def send(kind, *parts):
    content = b"".join(parts)
    answers.write(struct.pack("<IB", len(content), kind) + content)
    answers.flush()


def text(value):
    encoded = value.encode()[:LONGEST_TEXT]
    return struct.pack("<H", len(encoded)) + encoded


def integers(values):
    values = [int(value) for value in values]
    return struct.pack(f"<i{len(values)}i", len(values), *values)


def codec(space, depth=0):
    """What translates the values of a space."""
    if type(space).__name__ not in ("Dict", "Tuple"):
        return Codec(space)
    if depth == DEEPEST:
        raise Failed(-1, f"a space has more than {DEEPEST} levels of Dict and Tuple")
    return PartsCodec(space, depth)


class PartsCodec:
    """The values of a Dict or a Tuple: the rows of its parts, one after the other. The parts of a Tuple are called 0, 1 and so on."""

    def __init__(self, space, depth):
        self.kind = type(space).__name__
        parts = space.spaces.items() if self.kind == "Dict" else enumerate(space.spaces)
        self.parts = [(key, codec(part, depth + 1)) for key, part in parts]
        self.width = sum(part.width for _, part in self.parts)

    def counts(self):
        """The numbers of alternatives of all choices; None if there is anything else."""
        counts = [part.counts() for _, part in self.parts]
        return None if None in counts else sum(counts, [])

    def masks(self, mask):
        """The masks of the choices: one for each part, or one array for all."""
        if not isinstance(mask, (dict, tuple)):
            return [np.ravel(mask)]
        if len(mask) != len(self.parts):
            raise ValueError(f"there are masks for {len(mask)} parts, and the actions have {len(self.parts)}")
        return [array for key, part in self.parts for array in part.masks(mask[key])]

    def describe(self):
        parts = [text(str(key)) + part.describe() for key, part in self.parts]
        return struct.pack("<Bi", 5, len(parts)) + b"".join(parts)

    def row(self, value):
        if len(value) != len(self.parts):
            raise ValueError(f"an observation has {len(value)} parts, and its space has {len(self.parts)}")
        return b"".join(part.row(value[key]) for key, part in self.parts)

    def value(self, row):
        values, first = {}, 0
        for key, part in self.parts:
            values[key] = part.value(row[first : first + part.width])
            first += part.width
        return values if self.kind == "Dict" else tuple(values.values())


class Codec:
    """The values of a space as rows of float32, and as the space itself has them."""

    def __init__(self, space):
        self.space = space
        self.kind = type(space).__name__
        if self.kind not in ("Discrete", "Box", "MultiDiscrete", "MultiBinary"):
            raise Failed(-1, f"the space {space} has no row of numbers: flatten it with a wrapper of Gymnasium")
        if self.kind == "Discrete":
            self.start = int(getattr(space, "start", 0))
            self.width = 1
        else:
            start = getattr(space, "start", None) if self.kind == "MultiDiscrete" else None
            self.start = 0 if start is None else np.asarray(start)
            self.width = int(np.prod(space.shape))

    def counts(self):
        """The numbers of alternatives of an action with one choice or several; None for other actions."""
        if self.kind == "Discrete":
            return [int(self.space.n)]
        if self.kind != "MultiDiscrete":
            return None
        return [int(count) for count in np.asarray(self.space.nvec).ravel()]

    def masks(self, mask):
        """The masks of the choices, which may be in a list or a tuple."""
        return [np.ravel(part) for part in (mask if isinstance(mask, (list, tuple)) else [mask])]

    def describe(self):
        if self.kind == "Discrete":
            return struct.pack("<Bi", 0, int(self.space.n))
        if self.kind == "MultiDiscrete":
            return b"\2" + integers(self.counts())
        if self.kind == "MultiBinary":
            return struct.pack("<Bi", 3, self.width)
        shape = self.space.shape or (1,)
        low, high = (np.asarray(bound).astype("<f4").tobytes() for bound in (self.space.low, self.space.high))
        return b"\1" + integers(shape) + low + high

    def row(self, value):
        row = np.asarray(np.asarray(value) - self.start, dtype="<f4").tobytes()
        if len(row) != 4 * self.width:
            raise ValueError(f"an observation has {len(row) // 4} numbers, and its space has {self.width}")
        return row

    def value(self, row):
        if self.kind == "Discrete":
            return int(row[0]) + self.start
        dtype = self.space.dtype
        rounded = np.rint(row) if np.issubdtype(dtype, np.integer) else row
        return (rounded.reshape(self.space.shape) + self.start).astype(dtype)


def mask_method(environment):
    """The method `action_masks` of an environment, or of the one inside of its wrappers; None if there is none."""
    while environment is not None:
        method = getattr(type(environment), "action_masks", None)
        if method is not None:
            return method.__get__(environment)
        environment = getattr(environment, "env", None)
    return None


class Masks:
    """Which actions are legal: `action_mask` in the info of `reset` and `step`, or the method `action_masks`. The info comes first."""

    def __init__(self, environment, actions):
        _, info = environment.reset(seed=0)
        self.in_info = "action_mask" in info
        self.exist = self.in_info or mask_method(environment) is not None
        if self.exist and actions.counts() is None:
            raise Failed(-1, f"masks are for Discrete and MultiDiscrete actions, and not for {actions.kind}")
        self.actions = actions
        self.counts = actions.counts() if self.exist else []
        self.width = sum(self.counts)

    def describe(self):
        return b"\4" + integers(self.counts) if self.exist else b""

    def row(self, environment, info, is_over):
        """The mask of the next action: 1 for each legal one, choice after choice. After the end of an episode there is none."""
        if not self.exist or is_over:
            return bytes(4 * self.width)
        if self.in_info and "action_mask" not in info:
            raise ValueError("the info has no action_mask, which that of the first reset had")
        mask = info["action_mask"] if self.in_info else mask_method(environment)()
        numbers = np.concatenate(self.actions.masks(mask)).astype("<f4")
        if numbers.size != self.width:
            raise ValueError(f"a mask has {numbers.size} values, and the actions have {self.width} alternatives")
        if not np.isin(numbers, (0, 1)).all():
            raise ValueError(f"a mask has other values than 0 and 1: {mask}")
        return numbers.tobytes()


class Server:
    def __init__(self, environment_id):
        self.id = environment_id
        self.environments = {}
        first = self.environment(0)
        self.observations = codec(first.observation_space)
        self.actions = codec(first.action_space)
        self.masks = Masks(first, self.actions)

    def environment(self, index):
        if index not in self.environments:
            self.environments[index] = gymnasium.make(self.id)
        return self.environments[index]

    def welcome(self):
        spaces = self.masks.describe() + self.observations.describe() + self.actions.describe()
        send(WELCOME, struct.pack("<H", VERSION), text("gym:" + self.id), struct.pack("<i", COUNT), spaces)

    def reset(self, content):
        (count,) = struct.unpack_from("<i", content)
        numbers = struct.unpack_from(f"<{2 * count}i", content, 4)
        rows = []
        for position, (index, seed) in enumerate(zip(numbers[:count], numbers[count:])):
            try:
                observation, info = self.environment(index).reset(seed=seed)
                mask = self.masks.row(self.environments[index], info, False)
                rows += [self.observations.row(observation), mask]
            except Exception as error:
                raise Failed(position, f"{type(error).__name__}: {error}") from error
        send(RESET_DONE, struct.pack("<i", count), *rows)

    def step(self, content):
        (count,) = struct.unpack_from("<i", content)
        indices = struct.unpack_from(f"<{count}i", content, 4)
        actions = np.frombuffer(content, dtype="<f4", offset=4 + 4 * count).reshape(count, self.actions.width)
        rows, rewards, ends = [], [], []
        for position, index in enumerate(indices):
            try:
                action = self.actions.value(actions[position])
                observation, reward, terminated, truncated, info = self.environments[index].step(action)
                mask = self.masks.row(self.environments[index], info, terminated or truncated)
                rows += [self.observations.row(observation), mask]
                rewards.append(float(reward))
                ends.append(bool(terminated) | bool(truncated) << 1)
            except Exception as error:
                raise Failed(position, f"{type(error).__name__}: {error}") from error
        send(STEP_DONE, struct.pack("<i", count), *rows, struct.pack(f"<{count}d", *rewards), bytes(ends))


def hello():
    kind, content = receive()
    if kind != HELLO or len(content) < 6:
        raise Failed(-1, "the first message must be a hello")
    magic, version = struct.unpack_from("<IH", content)
    if magic != MAGIC or version != VERSION:
        raise Failed(-1, f"the client speaks another version of the protocol than {VERSION}")


def serve(environment_id):
    global gymnasium, np
    hello()
    try:
        import gymnasium
        import numpy as np
    except ImportError as error:
        what = f"{error}: {sys.executable} needs the package {error.name} (pip install {error.name})"
        raise Failed(-1, what) from error
    try:
        server = Server(environment_id)
    except Failed:
        raise
    except Exception as error:
        raise Failed(-1, f"{environment_id} cannot be made: {type(error).__name__}: {error}") from error
    server.welcome()
    while True:
        kind, content = receive()
        if kind == RESET:
            server.reset(content)
        elif kind == STEP:
            server.step(content)
        elif kind == CLOSE:
            return
        else:
            raise Failed(-1, f"a message of the kind {kind} was not expected")


try:
    serve(sys.argv[1])
except Failed as failure:
    send(ERROR, struct.pack("<i", failure.position), text(str(failure)))
    sys.exit(1)
