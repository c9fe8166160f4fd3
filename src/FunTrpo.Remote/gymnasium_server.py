"""Serves an environment of Gymnasium to FunTrpo, over standard input and output: python3 gymnasium_server.py ID

It needs only Gymnasium and NumPy. docs/remote.md of FunTrpo describes the messages. Everything is little-endian.
"""

import os
import struct
import sys

VERSION = 1
MAGIC = 0x50525446  # FTRP
HELLO, WELCOME, RESET, RESET_DONE, STEP, STEP_DONE, ERROR, CLOSE = range(1, 9)
COUNT = 1024  # environments at most; each is made when it is used first
LONGEST_TEXT = 1 << 10

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

    def describe(self):
        if self.kind == "Discrete":
            return struct.pack("<Bi", 0, int(self.space.n))
        if self.kind == "MultiDiscrete":
            return b"\2" + integers(np.asarray(self.space.nvec).ravel())
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


class Server:
    def __init__(self, environment_id):
        self.id = environment_id
        self.environments = {}
        first = self.environment(0)
        self.observations = Codec(first.observation_space)
        self.actions = Codec(first.action_space)

    def environment(self, index):
        if index not in self.environments:
            self.environments[index] = gymnasium.make(self.id)
        return self.environments[index]

    def welcome(self):
        spaces = self.observations.describe() + self.actions.describe()
        send(WELCOME, struct.pack("<H", VERSION), text("gym:" + self.id), struct.pack("<i", COUNT), spaces)

    def reset(self, content):
        (count,) = struct.unpack_from("<i", content)
        numbers = struct.unpack_from(f"<{2 * count}i", content, 4)
        rows = []
        for position, (index, seed) in enumerate(zip(numbers[:count], numbers[count:])):
            try:
                observation, _ = self.environment(index).reset(seed=seed)
                rows.append(self.observations.row(observation))
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
                observation, reward, terminated, truncated, _ = self.environments[index].step(action)
                rows.append(self.observations.row(observation))
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
