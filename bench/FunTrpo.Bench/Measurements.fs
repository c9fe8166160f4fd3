namespace FunTrpo.Bench

open System
open FunTrpo.MuJoCo

/// The extent of the measurements.
type Plan =
    {
        IsQuick: bool
        /// The number of threads of measurements that do not say that they run on one.
        Threads: int
        /// The effort for subjects that take milliseconds.
        Short: Effort
        /// The effort for subjects that may take seconds.
        Long: Effort
        /// The seconds for each measurement of the peer (PyTorch).
        PeerSeconds: float
        /// The number of runs of the command, each with its own seed.
        Seeds: int
        /// The batch sizes for which growth is measured.
        Batches: int list
        /// The numbers of frames of updates of the paper's network for Atari.
        Frames: int list
        /// The numbers of hidden units for which growth is measured.
        HiddenUnits: int list
        /// The number of iterations of a training run on a task of MuJoCo.
        PhysicsIterations: int
        /// The number of elements of each array of the triad.
        TriadElements: int
    }

/// Measures the rows of the report. Each function measures some rows and returns them.
module Measurements =

    let full =
        { IsQuick = false
          Threads = min 2 Environment.ProcessorCount
          Short = { Seconds = 2.0; Repeats = 9 }
          Long = { Seconds = 4.0; Repeats = 3 }
          PeerSeconds = 6.0
          Seeds = 10
          Batches = [ 1 <<< 11; 1 <<< 14; 1 <<< 17; 1 <<< 20 ]
          Frames = [ 2048; 10_000 ]
          HiddenUnits = [ 64; 140; 300; 670; 2224 ]
          PhysicsIterations = 50
          TriadElements = 64_000_000 }

    let quick =
        { full with
            IsQuick = true
            Short = { Seconds = 0.3; Repeats = 3 }
            Long = { Seconds = 0.3; Repeats = 1 }
            PeerSeconds = 0.5
            Seeds = 3
            Batches = [ 1 <<< 11; 1 <<< 14; 1 <<< 16 ]
            Frames = [ 2048 ]
            HiddenUnits = [ 64; 300; 1000 ]
            PhysicsIterations = 5
            TriadElements = 32_000_000 }

    let private median = Timing.median
    let private number = Results.number
    let private milliseconds seconds = $"{number (1e3 * seconds)} ms"
    let private plural count what = if count = 1 then $"1 {what}" else $"{count} {what}s"

    /// Collects the garbage of the last measurement (batch and closures), so that the next one does not include that time.
    let private tidy () = GC.Collect()

    // ---- Products ----

    /// The seconds for which products are measured one after another, as conjugate gradient computes them, so that the content of the
    /// caches is realistic.
    let private productSeconds = 0.1

    /// Measures the peak and products alternately, with the same number of threads. Returns the fraction of the peak that the products
    /// reach, and their speed in GFLOP/s. Other work on the machine slows down both, so the fraction is robust.
    let private shareOf (plan: Plan) threads flops (subject: UpdateSubject) =
        Timing.warmUp subject.Product
        let product = Timing.lasting productSeconds subject.Product

        match Timing.inTurn plan.Short [ (fun () -> Machine.peakNow threads); (fun () -> flops / product ()) ] with
        | [ peaks; rates ] -> median (Array.map2 (/) rates peaks), median rates / 1e9
        | _ -> nan, nan

    let private productShare plan threads shape =
        tidy ()
        shareOf plan threads (Shape.productFlops shape) (Subjects.ofShape threads shape)

    /// The row of a network's products, given the share of the peak that they reach, their speed and their operations.
    let private productRow name threads goal flops (share, gflops) =
        Results.row
            $"""Fisher-vector product {name}, {plural threads "thread"}"""
            "% of FMA peak"
            (AtLeast goal)
            $"{number gflops} GFLOP/s, {milliseconds (flops / gflops / 1e9)}"
            (Some(100.0 * share))

    /// Measures products of shapes A–E with one thread and with all. Returns rows, and speeds for the roofline picture.
    let products (plan: Plan) =
        let goals = [ Shape.a, 60.0; Shape.b, 60.0; Shape.c, 75.0; Shape.d, 75.0; Shape.e, 75.0 ]

        [ for threads in List.distinct [ 1; plan.Threads ] do
              for shape, goal in goals do
                  let share, gflops = productShare plan threads shape

                  productRow shape.Name threads goal (Shape.productFlops shape) (share, gflops),
                  { Shape = shape; Threads = threads; Gflops = gflops } ]

    /// Measures products of networks for pictures and of networks with memory.
    let private architectureProducts (plan: Plan) =
        [ for threads in List.distinct [ 1; plan.Threads ] do
              for shape in ArchitectureShape.all do
                  tidy ()
                  let flops = Subjects.productFlopsOfArchitecture shape

                  Subjects.ofArchitecture threads shape
                  |> shareOf plan threads flops
                  |> productRow shape.Name threads shape.Goal flops ]

    // ---- Updates ----

    /// For each shape: the seconds that the usual implementation took on two cores of the same kind of machine, and the speed-up goals of
    /// an update over that and over the peer in the same run.
    let private updateGoals =
        [ Shape.a, 0.074, 8.0, 4.0
          Shape.b, 0.073, 8.0, 4.0
          Shape.c, 1.979, 8.0, 6.0
          Shape.d, 3.512, 4.0, 3.0
          Shape.e, 0.550, 2.0, 2.0 ]

    /// Returns the median time of FunTrpo's updates, measured before and after the peer's, and the fastest time of the peer's, in seconds.
    let private updateAndPeer (plan: Plan) (subject: UpdateSubject) network =
        let before = Timing.repeated plan.Long subject.Update

        let peer =
            Processes.peerTimes plan.Threads plan.PeerSeconds [ "update" ] network |> Option.map List.head

        let after = Timing.inTurn plan.Long [ fun () -> Timing.seconds subject.Update ] |> List.head
        median (Array.append before after), peer

    /// The row that compares an update with the peer's, given the seconds of both.
    let private peerRow name goal own peer =
        let note =
            match peer with
            | Some peer -> $"{milliseconds own} against {milliseconds peer}"
            | None -> "there is no Python with torch"

        { Results.fact $"{name}, against PyTorch" "times as fast" note (peer |> Option.map (fun peer -> peer / own)) with
            Goal = goal |> Option.map AtLeast }

    /// Measures whole updates of shapes A–E, compared with the reference times and with the peer.
    let updates (plan: Plan) =
        [ for shape, usual, goalOfTable, goalOfPeer in updateGoals do
              tidy ()
              let subject = Subjects.ofShape plan.Threads shape
              let own, peer = updateAndPeer plan subject (Processes.optionsOfShape shape)
              let iterations, tries = subject.Counts
              let counts = $"{iterations} CG products + 1, {tries} line-search evaluation"

              Results.row
                  $"whole update {shape.Name}, against the reference times"
                  "times as fast"
                  (AtLeast goalOfTable)
                  $"{milliseconds own} against {milliseconds usual}; {counts}"
                  (Some(usual / own))

              peerRow $"whole update {shape.Name}" (Some goalOfPeer) own peer ]

    /// Measures training steps of DDPG on one thread, compared with the peer. They are measured before and after the peer's.
    let ddpg (plan: Plan) =
        [ for shape in DdpgSteps.all do
              tidy ()
              let call = DdpgSteps.ofShape 1 shape
              let before = Timing.repeated plan.Short call
              let peer = Processes.peerDdpg 1 plan.PeerSeconds shape
              let after = Timing.inTurn plan.Short [ fun () -> Timing.seconds call ] |> List.head
              let own = median (Array.append before after) / float DdpgSteps.ofCall
              let name = $"training step of DDPG, {shape.Units} × {shape.Units} units, minibatch {shape.Batch}"
              peerRow name (Some 3.0) own peer ]

    /// Measures whole updates of networks for pictures and of networks with memory, compared with the peer.
    let private architectureUpdates (plan: Plan) =
        [ for shape in ArchitectureShape.all do
              tidy ()
              let subject = Subjects.ofArchitecture plan.Threads shape
              let own, peer = updateAndPeer plan subject (Processes.optionsOfArchitecture shape)
              peerRow $"whole update {shape.Name}" shape.PeerGoal own peer ]

    /// Measures products and updates of networks for pictures and of networks with memory.
    let architectures (plan: Plan) = architectureProducts plan @ architectureUpdates plan

    /// Measures the cost of an improvement of the policy over that of one gradient, with all rows and with a tenth of them in the products.
    let gradients (plan: Plan) =
        [ for name, subject in
              [ "MLP (B)", fun () -> Subjects.ofShape plan.Threads Shape.b
                for shape in [ ArchitectureShape.minAtar; ArchitectureShape.gru ] do
                    shape.Name, fun () -> Subjects.ofArchitecture plan.Threads shape ] do
              tidy ()
              let subject: UpdateSubject = subject ()
              let parts = [ subject.Gradient; subject.Actor; subject.SampledActor ]
              List.iter Timing.warmUp parts

              match Timing.inTurn plan.Long (parts |> List.map (fun part () -> Timing.seconds part)) with
              | [ gradient; all; sampled ] ->
                  let over times = median (Array.map2 (/) times gradient)
                  let note = $"one gradient takes {milliseconds (median gradient)}"
                  Results.fact $"TRPO update of a policy over one gradient, {name}" "ratio" note (Some(over all))

                  Results.fact
                      $"TRPO update of a policy over one gradient, a tenth of the rows in products, {name}"
                      "ratio"
                      note
                      (Some(over sampled))
              | _ -> () ]

    /// Measures one update of the paper's network for Atari on many frames: its time, its arithmetic and its peak of memory.
    let frames (plan: Plan) =
        tidy ()
        let gibibytes bytes = bytes / float (1 <<< 30)

        [ for frames in plan.Frames do
              let shape = Frames.shape frames
              let flops = Subjects.updateFlopsOfArchitecture shape
              let own, ownBytes = Processes.updateOfFrames plan.Threads frames

              let peer =
                  Processes.optionsOfArchitecture shape |> Processes.peerTimesAndMemory plan.Threads 0.0 [ "update" ]

              let notePeer text =
                  match peer with
                  | Some([ seconds ], bytes) -> "PyTorch: " + text seconds bytes
                  | _ -> ""

              let speed seconds = flops / seconds / 1e9

              peerRow $"whole update of {frames:N0} frames of Atari" None own (peer |> Option.map (fst >> List.head))

              Results.fact
                  $"update of {frames:N0} frames of Atari, speed"
                  "GFLOP/s"
                  (notePeer (fun seconds _ -> $"{number (speed seconds)} GFLOP/s"))
                  (Some(speed own))

              Results.row
                  $"update of {frames:N0} frames of Atari, peak of memory"
                  "GiB"
                  (Below 6.0)
                  (notePeer (fun _ bytes -> $"{number (gibibytes bytes)} GiB"))
                  (Some(gibibytes ownBytes)) ]

    /// Measures the speed-up of an update of shape C by a second thread: the best of paired runs.
    let twoThreads (plan: Plan) =
        tidy ()

        let value =
            if plan.Threads < 2 then
                None
            else
                let one, two = Subjects.ofShape 1 Shape.c, Subjects.ofShape 2 Shape.c
                Timing.warmUp one.Update
                Timing.warmUp two.Update

                let times = [ one; two ] |> List.map (fun subject () -> Timing.seconds subject.Update)

                match Timing.inTurn plan.Long times with
                | [ one; two ] -> Some(Array.map2 (/) one two |> Array.max)
                | _ -> None

        [ Results.row "whole update C, 2 threads over 1" "times as fast" (AtLeast 1.7) "best of paired runs" value ]

    // ---- Environments and rollouts ----

    /// Returns the median number of steps per second of a subject.
    let private stepsPerSecond effort (subject: RolloutSubject) =
        float subject.Steps / median (Timing.repeated effort subject.Run)

    let private millions = Option.map (fun stepsPerSecond -> stepsPerSecond / 1e6)

    /// Measures rollouts with all stages, and the environment alone.
    let rollouts (plan: Plan) =
        tidy ()
        let environments, horizon = 256, 128

        let rollout =
            if plan.Threads < 2 then
                None
            else
                Subjects.rolloutAndEstimate 2 environments horizon |> stepsPerSecond plan.Short |> Some

        let alone = Subjects.environmentAlone 1024 200 |> stepsPerSecond plan.Short |> Some

        [ Results.row
              "rollout, values and GAE, CartPole, 2 threads"
              "million steps/s"
              (AtLeast 4.0)
              $"{environments} environments × {horizon} steps, 64 × 64 policy and critic"
              (millions rollout)
          Results.row
              "CartPole environment alone, one core"
              "million steps/s"
              (AtLeast 30.0)
              "1024 instances, through Environment"
              (millions alone) ]

    /// Measures training with simulators that wait, all at the same time, and simulators behind a pipe.
    let waiting (plan: Plan) =
        tidy ()
        let environments, milliseconds = 64, 5
        let most = float environments * 1000.0 / float milliseconds
        let speed = Waiting.stepsPerSecond plan.Threads environments milliseconds

        [ Results.row
              $"training, {environments} simulators of {milliseconds} ms a step in flight"
              "% of all waiting at once"
              (AtLeast 80.0)
              $"{number speed} of {number most} steps/s, with the bits of training without waiting"
              (Some(100.0 * speed / most))
          Results.row
              "a step of 64 simulators behind a pipe"
              "µs"
              (AtMost 100.0)
              "one message there and one back, with simulators that cost nothing"
              (Some(1e6 * Remote.secondsPerStep plan.Short 64)) ]

    // ---- Physics ----

    let private noEngine = "the engine libmujoco is not installed"

    /// Returns the median ratio of the durations of two parts of a subject, measured in turn, and the median durations.
    let private ratioOf effort numerator denominator =
        let timed action () = Timing.seconds action

        match Timing.inTurn effort [ timed numerator; timed denominator ] with
        | [ above; below ] -> median (Array.map2 (/) above below), median above, median below
        | _ -> nan, nan, nan

    /// Measures, for each task of MuJoCo, the speed of steps through `Environment` over that of the engine alone.
    let private physicsSteps (plan: Plan) threads =
        let each =
            [ for registered in PhysicsTasks.tasks do
                  match Physics.ofTask threads 2 registered with
                  | None -> ()
                  | Some subject ->
                      Timing.warmUp subject.Environment
                      Timing.warmUp subject.Engine
                      let ratio, _, seconds = ratioOf plan.Short subject.Engine subject.Environment
                      registered.Task.Id, ratio, float subject.Steps / seconds ]

        let texts =
            each |> List.map (fun (id, ratio, speed) -> $"{id} {number ratio}, {number (speed / 1e3)}k steps/s")

        Results.row
            $"""steps through Environment over the engine alone, {plural threads "thread"}"""
            "speed, worst task"
            (AtLeast 0.9)
            (if each.IsEmpty then noEngine else String.concat "; " texts)
            (if each.IsEmpty then None else Some(each |> List.map (fun (_, ratio, _) -> ratio) |> List.min))

    /// Measures the duration of the first iterations of training over that of the engine alone for the same steps.
    let private physicsTraining (plan: Plan) threads (task: string) goal =
        let registered = PhysicsTasks.tasks |> List.find (fun registered -> registered.Task.Id = task)

        let value, note =
            match Physics.ofTask threads plan.PhysicsIterations registered with
            | None -> None, noEngine
            | Some subject ->
                Timing.warmUp subject.Engine
                let ratio, training, engine = ratioOf plan.Long subject.Training subject.Engine
                Some ratio, $"{number training} s against {number engine} s, {subject.Steps:N0} steps"

        Results.row
            $"""training on {task} over its physics, {plural threads "thread"}"""
            "ratio"
            (AtMost goal)
            note
            value

    /// Measures the tasks of MuJoCo, with one thread and with all.
    let physics (plan: Plan) =
        tidy ()

        [ for threads in List.distinct [ 1; plan.Threads ] do
              physicsSteps plan threads
              physicsTraining plan threads "Hopper-v4" 1.6
              physicsTraining plan threads "HalfCheetah-v4" 2.2 ]

    /// Measures single actions, as in a program that only runs a trained policy.
    let acting (plan: Plan) =
        tidy ()
        let count = 10_000

        let microseconds (play: int -> unit) =
            1e6 * median (Timing.repeated plan.Short (fun () -> play count)) / float count

        let act, sample = Subjects.acting ()

        [ for name, note, play in
              [ "one action of a 64 × 64 policy", "the most probable one, through the C# facade", act
                "one action of a 64 × 64 policy, drawn", "the same, at random", sample ] ->
              Results.row name "µs" (Below 2.0) note (Some(microseconds play)) ]

    // ---- Start to finish ----

    /// Measures, alternately, the command from the start of its process until CartPole is solved, and the peer's imports.
    let startToSolved (plan: Plan) =
        let runs = [ for seed in 0 .. plan.Seeds - 1 -> Processes.solveCartPole seed, Processes.peerImport () ]

        let medianOf pick =
            let times = List.choose pick runs
            if times.Length = runs.Length then Some(median (Array.ofList times)) else None

        let solved, import = medianOf fst, medianOf snd

        let ratio, note =
            match solved, import with
            | Some solved, Some import -> Some(solved / import), $"{milliseconds solved} against {milliseconds import}"
            | _, None -> None, "there is no Python with torch"
            | None, _ -> None, ""

        let solvedNote = if solved.IsNone then "; the command is not built, or a seed was not solved" else ""

        [ Results.row
              "process start to CartPole solved"
              "s"
              (AtMost 0.8)
              $"""{plural plan.Seeds "seed"}, median{solvedNote}"""
              solved
          Results.row "the same, over PyTorch's imports alone" "ratio" (Below 1.0) note ratio ]

    // ---- Growth ----

    /// Returns the ratio of the slowest to the fastest time per unit of work, and the times per unit of all measurements.
    let private growth effort (works: (float * (unit -> float)) list) =
        let perUnit =
            Timing.inTurn effort (works |> List.map snd)
            |> List.map2 (fun (work, _) times -> median times / work) works

        List.max perUnit / List.min perUnit, perUnit

    let private growthRow name goal (unit: string) inputs (value, perUnit) =
        let each = List.map2 (fun (input: int) time -> $"{input}: {number (1e9 * time)}") inputs perUnit
        Results.row name "slowest over fastest" (AtMost goal) $"""{unit}: {String.concat ", " each}""" (Some value)

    /// Measures the time per sample of products and updates, for batches of increasing size.
    let growthWithSamples (plan: Plan) =
        tidy ()

        let subjects =
            plan.Batches
            |> List.map (fun batch -> float batch, Subjects.ofShape plan.Threads { Shape.b with Batch = batch })

        let measure effort least (part: UpdateSubject -> unit -> unit) =
            subjects
            |> List.map (fun (samples, subject) ->
                Timing.warmUp (part subject)
                samples, Timing.lasting least (part subject))
            |> growth effort

        [ growthRow "growth with samples, product" 1.25 "ns per sample" plan.Batches (measure plan.Short 0.01 _.Product)
          growthRow
              "growth with samples, whole update"
              1.4
              "ns per sample"
              plan.Batches
              (measure plan.Long 0.1 _.Update) ]

    /// Measures the time per useful operation of products, for networks with more and more parameters.
    let growthWithParameters (plan: Plan) =
        tidy ()

        let shapes =
            plan.HiddenUnits |> List.map (fun units -> { Shape.b with Units = [ 17; units; units; 6 ] })

        let works =
            shapes
            |> List.map (fun shape ->
                let subject = Subjects.ofShape plan.Threads shape
                Timing.warmUp subject.Product
                Shape.productFlops shape, Timing.lasting productSeconds subject.Product)

        [ growth plan.Short works
          |> growthRow "growth with parameters, product" 1.5 "ns per operation" (shapes |> List.map Shape.parameters) ]

    // ---- Memory ----

    /// Returns the bytes that a step of a rollout allocates in addition to its batch, from the difference of a long and a short rollout.
    let private bytesPerStep threads =
        let run horizon =
            let subject = Subjects.rollout threads 8 horizon
            Timing.warmUp subject.Run
            subject.Steps, Timing.allocated subject.Run - subject.Bytes

        let fewer, small = run 128
        let more, large = run 1024
        (large - small) / float (more - fewer)

    /// Measures the memory that training allocates, and the number of collections of all generations.
    let memory (plan: Plan) =
        tidy ()
        let advance, bytesHeld = Subjects.iterations plan.Threads
        advance 20
        let collections = GC.CollectionCount 2
        let iterations = 100
        let perIteration = Timing.allocated (fun () -> advance iterations) / float iterations
        let collected = GC.CollectionCount 2 - collections
        let held = bytesHeld ()
        let kilobytes bytes = $"{number (bytes / 1e3)} kB"

        [ Results.row
              "allocation of an iteration / (batch + new state)"
              "ratio"
              (AtMost 1.5)
              $"{kilobytes perIteration} / {kilobytes held}, the default CartPole run"
              (Some(perIteration / held))
          Results.row
              "allocation of an environment step beyond the batch"
              "bytes"
              (Below 1.0)
              "an object for each step would be 24 or more"
              (Some(bytesPerStep plan.Threads))
          Results.row
              "gen-2 collections in 100 iterations"
              "collections"
              (AtMost 0.0)
              "the default CartPole run"
              (Some(float collected)) ]

    // ---- A shape given on the command line ----

    let private ofPart (plan: Plan) (subject: UpdateSubject) (names: string list) =
        let parts = [ subject.Product; subject.Actor; subject.Critic; subject.Update ]

        (names, parts) ||> List.map2 (fun name part -> name, median (Timing.repeated plan.Long part))

    /// Measures the stages of an update of a shape, and their speed-up over the peer.
    let ofShape (plan: Plan) shape =
        let subject = Subjects.ofShape plan.Threads shape
        let names = [ "product"; "actor"; "critic"; "update" ]
        let own = ofPart plan subject names
        let peers = Processes.optionsOfShape shape |> Processes.peerTimes plan.Threads plan.PeerSeconds names
        let gflops = Shape.productFlops shape / snd own.Head / 1e9

        [ for i, (name, seconds) in List.indexed own do
              let peer = peers |> Option.map (List.item i)
              Results.fact name "ms" "" (Some(1e3 * seconds))
              Results.fact $"{name}, PyTorch" "ms" "" (peer |> Option.map (fun peer -> 1e3 * peer))

              Results.fact
                  $"{name}, against PyTorch"
                  "times as fast"
                  ""
                  (peer |> Option.map (fun peer -> peer / seconds))
          Results.fact "product, speed" "GFLOP/s" "" (Some gflops)
          Results.fact
              "product, share of the peak"
              "% of FMA peak"
              ""
              (Some(100.0 * fst (productShare plan plan.Threads shape))) ]
