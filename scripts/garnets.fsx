// The random processes whose states share parameters, for scripts that count the steps by which η falls.
#load "lesson.fsx"

open FunTrpo
open FunTrpo.Exact

let states, classes = 30, 10

/// Garnet processes, each with the class of each state: ten random classes of three states.
let garnets count =
    [| for seed in 0L .. int64 count - 1L ->
           let key = Key.ofSeed seed
           let shuffled = Key.permutation states (Key.named "classes" key)
           Builders.garnet 0.9 states 4 3 (Key.named "process" key), (fun state -> shuffled[state] % classes) |]
