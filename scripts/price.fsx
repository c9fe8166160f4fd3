// The price of an update: an improvement by TRPO, with Fisher-vector products on all rows or on a tenth of them, and one by the ten epochs of PPO,
// over a single gradient of the surrogate on the same rows. The policies have equal numbers of parameters: dense layers, a convolution, and a
// layer with memory. The price is counted in arithmetic, and measured in time on one thread.
//
//     dotnet fsi scripts/price.fsx           a minute and a half
//     dotnet fsi scripts/price.fsx --quick   one measurement of each: rough numbers
#load "load.fsx"
#load "lesson.fsx"
#r "../bin/FunTrpo.CSharp.dll"
#load "../bench/FunTrpo.Bench/Shape.fs"
#load "../bench/FunTrpo.Bench/ArchitectureShape.fs"
#load "../bench/FunTrpo.Bench/Timing.fs"
#load "../bench/FunTrpo.Bench/Subjects.fs"

open FunTrpo.Bench
open Lesson

let isQuick = List.contains "--quick" arguments
let effort = if isQuick then { Seconds = 0.0; Repeats = 1 } else { Seconds = 25.0; Repeats = 15 }

let show (shape: ArchitectureShape) =
    let subject = Subjects.ofArchitecture 1 shape
    let arithmetic = Subjects.arithmetic shape

    let parts =
        [ "one Fisher-vector product", subject.Product, arithmetic.Product
          "TRPO", subject.Actor, arithmetic.Actor
          "TRPO, products on a tenth", subject.SampledActor, arithmetic.SampledActor
          "PPO, ten epochs", subject.Ppo, arithmetic.Ppo ]

    let actions = subject.Gradient :: [ for _, action, _ in parts -> action ]
    List.iter (if isQuick then (fun action -> action ()) else Timing.warmUp) actions
    let times = Timing.inTurn effort [ for action in actions -> fun () -> Timing.seconds action ]
    let gradient = times.Head

    printfn
        "%s of %d parameters: a gradient of %d rows takes %.1f ms and %.0f million multiply-adds"
        shape.Name
        subject.Parameters
        shape.Batch
        (1000.0 * median gradient)
        (arithmetic.Gradient * float shape.Batch / 1e6)

    for (name, _, multiplications), seconds in List.zip parts times.Tail do
        printfn
            "  %-26s %10.2f %10.2f"
            name
            (multiplications / arithmetic.Gradient)
            (median (Array.map2 (/) seconds gradient))

printfn "Over one gradient:              arithmetic       time"
ArchitectureShape.ofEqualSize |> List.iter show
