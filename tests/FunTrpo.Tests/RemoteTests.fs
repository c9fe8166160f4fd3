/// Simulators elsewhere: the same bits as here, and bad peers are refused.
module FunTrpo.Tests.RemoteTests

open System
open System.Diagnostics
open System.IO
open System.Net
open System.Net.Sockets
open System.Security.Cryptography
open System.Security.Cryptography.X509Certificates
open System.Threading
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Remote
open FunTrpo.Tests.Generators
open FunTrpo.Tests.ReplayPointTests

let private loopback = IPEndPoint(IPAddress.Loopback, 0)

let private walk () = new Walk(ignore) :> Simulator

/// A server of simulators on a free port.
let private listen options (make: unit -> Simulator) =
    RemoteServer.ListenForSimulators(loopback, Func<Simulator>(make), options)

let private connect (server: RemoteServer) options = RemoteSimulators.Connect("127.0.0.1", server.Port, options)

let private short = RemoteOptions(AnswerTime = TimeSpan.FromSeconds 5.0)

let resetAll (remote: BatchSimulator) (indices: int[]) (seeds: int[]) (observations: float32[]) =
    remote.Reset(ReadOnlySpan indices, ReadOnlySpan seeds, observations.AsSpan())

let stepAll (remote: BatchSimulator) (indices: int[]) (actions: float32[]) (observations: float32[]) results =
    remote.Step(ReadOnlySpan indices, ReadOnlySpan actions, observations.AsSpan(), (results: SimulatorStep[]).AsSpan())

let private environmentAt server = Simulator.environmentOfBatches (fun () -> connect server (RemoteOptions()))

let private sameBits =
    testSequenced
    <| propertyOf
        10
        "training, branches and evaluation over TCP have the bits of simulators in this process"
        (Gen.zip (Tasks.shortTrainings 9) (Gen.choose (1, 9)))
        (fun ((configuration, limit), count) ->
            use server = listen (ServeOptions(Count = count)) walk
            use remote = environmentAt server
            use local = walks ()

            let train simulators =
                simulators |> Environment.withTimeLimit limit |> InFlightTests.trainedAndPlayed configuration 2

            Expect.equal (train remote) (train local) "the results")

let private spaces =
    let bound = Gen.elements [ -infinityf; -1e30f; -1f; 0.25f ]

    let box =
        gen {
            let! shape = Gen.nonEmptyListOf (Gen.choose (1, 4)) |> Gen.map (List.truncate 4)
            let size = List.fold (*) 1 shape
            let! low = Gen.arrayOfLength size bound
            let! width = Gen.arrayOfLength size (Gen.elements [ 1f; 1e30f; infinityf ])
            let high = Array.map2 (fun low width -> if Single.IsInfinity low then width else low + width) low width
            return Box(Vector.ofArray low, Vector.ofArray high, shape)
        }

    let plain =
        Gen.oneof
            [ Gen.choose (1, Space.maxCount) |> Gen.map Discrete
              Gen.nonEmptyListOf (Gen.choose (1, 99)) |> Gen.map MultiDiscrete
              Gen.choose (1, 99) |> Gen.map MultiBinary
              box ]

    Gen.frequency [ 3, plain; 1, parts plain; 1, parts (parts plain) ]

/// Spaces of observations, some of them with a mask.
let private observationSpaces =
    let counts = Gen.nonEmptyListOf (Gen.choose (1, 99))
    Gen.oneof [ spaces; Gen.map2 (fun observed counts -> Masked(observed, counts)) spaces counts ]

/// A simulator with these spaces that shows zeros.
let private withSpaces observations actions =
    { new Simulator with
        member _.Id = "Spaces"
        member _.ObservationSpace = observations
        member _.ActionSpace = actions
        member _.Reset(_, _) = ()
        member _.Step(_, _) = { Reward = nan; Terminated = true; Truncated = true } }

let private spacesCarryOver =
    propertyOf
        60
        "spaces carry over exactly, and so do rewards and ends"
        (Gen.zip observationSpaces spaces)
        (fun (seen, taken) ->
            use server = listen (ServeOptions()) (fun () -> withSpaces seen taken)
            use remote = connect server (RemoteOptions())
            Expect.equal remote.ObservationSpace seen "observations"
            Expect.equal remote.ActionSpace taken "actions"
            let observations = Array.zeroCreate (2 * Space.width seen)
            let actions = Array.zeroCreate (2 * Space.width taken)
            let sample = Space.sample taken (Key.ofSeed 1L)
            sample.Memory.CopyTo(actions.AsMemory())
            sample.Memory.CopyTo(actions.AsMemory(sample.Length))
            let results = Array.zeroCreate<SimulatorStep> 2
            resetAll remote [| 4; 2 |] [| 1; 2 |] observations
            stepAll remote [| 2; 4 |] actions observations results

            for result in results do
                Expect.isTrue (Double.IsNaN result.Reward && result.Terminated && result.Truncated) "the result")

/// What the server at a port answers to these bytes, until it ends the connection.
let private answerTo (port: int) (bytes: byte[]) =
    use client = new TcpClient("127.0.0.1", port)
    use stream = client.GetStream()
    stream.Write(bytes, 0, bytes.Length)
    use answer = new MemoryStream()

    // The server may have ended the connection by now.
    try
        client.Client.Shutdown SocketShutdown.Send
        stream.CopyTo answer
    with
    | :? SocketException
    | :? IOException -> ()

    answer.ToArray()

/// A message of the protocol.
let message (kind: int) (parts: byte[] list) =
    let content = Array.concat parts
    Array.concat [ BitConverter.GetBytes content.Length; [| byte kind |]; content ]

let private int32s (numbers: int list) = numbers |> List.map BitConverter.GetBytes |> Array.concat

let private hello (version: int) (token: string) =
    let token = Text.Encoding.UTF8.GetBytes token

    message
        1
        [ "FTRP"B
          BitConverter.GetBytes(uint16 version)
          BitConverter.GetBytes(uint16 token.Length)
          token ]

let private refusals =
    let reset indices = message 3 [ int32s (List.length indices :: indices @ List.map (fun _ -> 1) indices) ]
    let step index (action: float32) = message 5 [ int32s [ 1; index ]; BitConverter.GetBytes action ]

    testList
        "the server refuses"
        [ for name, bytes, why in
              [ "another version", hello 2 "secret", "version 2"
                "another token", hello 1 "Secret", "the token is wrong"
                "no token", hello 1 "", "the token is wrong"
                "another protocol", "GET / HTTP/1.1\r\n\r\n"B, "bytes was announced"
                "a hello without end",
                hello 1 "secret" |> Array.mapi (fun i b -> if i = 0 then b - 1uy else b),
                "too early"
                "another first message", message 3 [ int32s [ 1; 0; 1 ] ], "hello"
                "an index that there is not", Array.append (hello 1 "secret") (reset [ 8 ]), "from 0 to 7"
                "an index twice", Array.append (hello 1 "secret") (reset [ 3; 3 ]), "twice"
                "a negative seed", Array.append (hello 1 "secret") (message 3 [ int32s [ 1; 0; -1 ] ]), "a seed is -1"
                "more simulators than there are",
                Array.append (hello 1 "secret") (message 3 [ int32s [ Int32.MaxValue ] ]),
                "must be from 1 to 8"
                "a step before a reset", Array.append (hello 1 "secret") (step 0 1f), "before a reset"
                "an action that is none",
                Array.concat [ hello 1 "secret"; reset [ 0 ]; step 0 10f ],
                "an action is not in its space"
                "bytes that are too many", Array.append (hello 1 "secret") (message 8 [ [| 0uy |] ]), "too many"
                "a message that there is not", Array.append (hello 1 "secret") (message 99 []), "99"
                "a message that is too long",
                Array.append (hello 1 "secret") (Array.concat [ int32s [ Int32.MaxValue ]; [| 3uy |] ]),
                "at most 67108864" ] do
              test name {
                  use server = listen (ServeOptions(Token = "secret", Count = 8)) walk
                  let answer = answerTo server.Port bytes |> Text.Encoding.UTF8.GetString
                  Expect.stringContains answer why "the reason"
              }
          test "more connections than there may be" {
              use server = listen (ServeOptions(MaxConnections = 1, HelloTime = TimeSpan.FromMinutes 1.0)) walk
              use _ = new TcpClient("127.0.0.1", server.Port)

              Expect.throwsT<RemoteException>
                  (fun () -> connect server (RemoteOptions()) |> ignore)
                  "the second connection"
          }
          test "clients that say nothing" {
              use server = listen (ServeOptions(HelloTime = TimeSpan.FromSeconds 0.3)) walk
              use silent = new TcpClient("127.0.0.1", server.Port)
              Expect.equal (silent.GetStream().ReadByte()) -1 "the silent one is sent away"
          }
          test "to be reached by other machines without a token and a certificate" {
              for options in [ ServeOptions(); ServeOptions(Token = "secret") ] do
                  Expect.throwsT<ArgumentException>
                      (fun () ->
                          RemoteServer.ListenForSimulators(IPEndPoint(IPAddress.Any, 0), Func<Simulator> walk, options)
                          |> ignore)
                      "any address"

              Expect.throwsT<ArgumentException>
                  (fun () -> RemoteSimulators.Connect("192.0.2.1", 7411, RemoteOptions(Token = "secret")) |> ignore)
                  "a client without TLS"
          } ]

/// The message of a server whose spaces are these bytes.
let private welcome spaces = message 2 [ BitConverter.GetBytes 1us; BitConverter.GetBytes 0us; int32s [ 1 ]; spaces ]

/// A name, with its length.
let private name (text: string) =
    let bytes = Text.Encoding.UTF8.GetBytes text
    Array.append (BitConverter.GetBytes(uint16 bytes.Length)) bytes

let private nested =
    test "the client refuses spaces that are nested without end, and parts without a valid name" {
        let mask = Array.concat [ [| 4uy |]; int32s [ 1; 2 ] ]
        let part text = Array.concat [ [| 5uy |]; int32s [ 1 ]; name text ]
        let discrete = Array.append [| 0uy |] (int32s [ 2 ])
        let manyTimes bytes = Array.concat (List.replicate 100_000 bytes)
        let levels count = Array.concat (List.replicate count (part "a") @ [ discrete ])

        for spaces, why in
            [ manyTimes mask, "there is no space of the kind 4"
              manyTimes (part "a"), "more than 16 levels"
              Array.append (levels 17) discrete, "more than 16 levels"
              Array.append (part "a") mask, "there is no space of the kind 4"
              Array.concat [ [| 5uy |]; int32s [ 0 ]; discrete ], "the number of parts of a space is 0"
              Array.concat [ part "a b"; discrete; discrete ], "a space is not valid: it has the part 'a b'"
              Array.concat [ part ""; discrete; discrete ], "a space is not valid: it has a part without a name" ] do
            Expect.throwsC
                (fun () ->
                    RemoteSimulators.Over(new MemoryStream(welcome spaces: byte[]), new MemoryStream()) |> ignore)
                (fun error -> Expect.stringContains error.Message why "why")

        use remote =
            RemoteSimulators.Over(
                new MemoryStream(welcome (Array.append (levels 16) discrete): byte[]),
                new MemoryStream()
            )

        Expect.equal (Space.width remote.ObservationSpace) 1 "16 levels"
    }

/// A certificate that no authority has signed.
let private certificate () =
    use key = RSA.Create 2048

    let request =
        CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1)

    use signed = request.CreateSelfSigned(DateTimeOffset.Now.AddDays -1.0, DateTimeOffset.Now.AddDays 1.0)
    X509CertificateLoader.LoadPkcs12(signed.Export X509ContentType.Pfx, null)

let private encryption =
    test "a connection is encrypted, by the certificate that is expected and no other" {
        use own = certificate ()
        use other = certificate ()
        use server = listen (ServeOptions(Token = "secret", Certificate = own)) walk
        let options = RemoteOptions(Token = "secret", Tls = true, Certificate = own)
        use remote = connect server options
        let observation = Array.zeroCreate 1
        resetAll remote [| 0 |] [| 500 |] observation
        Expect.equal observation[0] (walked 500 []) "the walk"

        for wrong in
            [ RemoteOptions(Token = "secret", Tls = true, Certificate = other)
              RemoteOptions(Token = "secret", Tls = true)
              RemoteOptions(Token = "secret")
              RemoteOptions(Token = "other", Tls = true, Certificate = own) ] do
            Expect.throwsT<RemoteException> (fun () -> (connect server wrong).Dispose()) "it is refused"
    }

// ---- Simulators that fail ----

/// A walk to which something happens in its fifth step.
let private accident (what: unit -> unit) () =
    let life = ref 0

    walk ()
    |> interrupted (fun () ->
        life.Value <- life.Value + 1

        if life.Value = 5 then
            what ())

/// Serves walks over the standard input and output of this process, which dies or hangs in the fifth step of one.
let serveWalks how =
    let what () =
        if how = "dies" then
            eprintfn "it dies"
            exit 7
        else
            Thread.Sleep Timeout.Infinite

    RemoteServer.ServeSimulatorsOverStandardStreams(Func<Simulator>(accident what))

let private thisProgram = Path.Combine(AppContext.BaseDirectory, "FunTrpo.Tests.dll")

let settings =
    { Configuration.standard with
        Environments = 3
        Horizon = 8
        InitialLogSigma = -3.0
        Hidden = [ 4 ]
        CriticHidden = [ 4 ] }

/// The fault of a training in the environment, of which the message has these words, and that is that of an instance at the fifth step.
let expectFaultAtStep5 words (environment: SimulatorEnvironment) =
    let setup = environment |> Environment.withTimeLimit 100 |> Setup.create 1 settings |> expectOk
    let start = TrainingState.start setup 1L

    match Training.update setup start with
    | Error(FailedEnvironment(_, _, instance, 5L) as fault) ->
        Expect.stringContains (Fault.message fault) words "the message"
        instance
    | Error fault -> failtest (Fault.message fault)
    | Ok _ -> failtest "it has not failed"

let private failures =
    testList
        "is a fault with instance and step"
        [ test "a simulator that throws an exception" {
              let number = ref 0

              let make () =
                  number.Value <- number.Value + 1
                  // The one that was made second.
                  if number.Value = 2 then accident (fun () -> failwith "out of fuel") () else walk ()

              use server = listen (ServeOptions()) make
              use remote = environmentAt server
              let instance = expectFaultAtStep5 "out of fuel" remote
              Expect.isTrue (instance >= 0 && instance < 3) "an instance"
          }
          test "a simulator that does not answer in time" {
              use isOver = new ManualResetEventSlim()
              use server = listen (ServeOptions()) (accident (fun () -> isOver.Wait()))

              try
                  use remote = Simulator.environmentOfBatches (fun () -> connect server short)
                  expectFaultAtStep5 "did not answer within 5 s" remote |> ignore
              finally
                  isOver.Set()
          }
          test "a server that is gone" {
              let server = ref Unchecked.defaultof<RemoteServer>
              server.Value <- listen (ServeOptions()) (accident (fun () -> (server.Value :> IDisposable).Dispose()))
              use remote = environmentAt server.Value
              expectFaultAtStep5 "ended the connection" remote |> ignore
          }
          for how, words in [ "dies", "exit code 7: it dies"; "hangs", "did not answer within 10 s" ] do
              test $"a process that {how}" {
                  let options = RemoteOptions(AnswerTime = TimeSpan.FromSeconds 10.0)

                  let start () =
                      RemoteSimulators.Start(CommandRuns.host, [ thisProgram; "--serve-walks"; how ], options)

                  use remote = Simulator.environmentOfBatches start
                  expectFaultAtStep5 words remote |> ignore
              } ]

let private restarted =
    test "a simulator that fails is replaced by a fresh one, and the result has the same bits" {
        let failuresLeft = ref 2

        let fail () =
            if Interlocked.Decrement failuresLeft >= 0 then
                raise (InvalidOperationException "out of fuel")

        use server = listen (ServeOptions()) (accident fail)
        use remote = environmentAt server
        remote.AllowRestarts 2
        use local = walks ()

        let train (environment: SimulatorEnvironment) =
            let setup = environment |> Environment.withTimeLimit 100 |> Setup.create 1 settings |> expectOk
            (TrainingState.start setup 1L |> Training.update setup |> expectOk |> fst).PolicyParameters

        Expect.equal (train remote) (train local) "the parameters"
    }

let private facade =
    test "an environment in C# that is served has the bits of one in this process" {
        let make = Func<CSharp.IEnvironment>(fun () -> CSharp.Tests.Line())
        use server = RemoteServer.Listen(loopback, make, ServeOptions(Count = 3))
        let connect () = RemoteEnvironments.Connect("127.0.0.1", server.Port)

        let policyOf (plan: CSharp.TrainingPlan) =
            let change (_: CSharp.TrainingOptions) =
                CSharp.TrainingOptions(
                    Seed = 3L,
                    TotalSteps = 400L,
                    Environments = 4,
                    Horizon = 50,
                    Hidden = [| 8 |],
                    CriticHidden = [| 8 |]
                )

            plan.With(Func<_, _> change).Train().Policy.ToJson()

        Expect.equal
            (CSharp.Trpo.ForBatch(Func<_>(connect), "Line") |> policyOf)
            (CSharp.Trpo.For(Func<_>(fun () -> CSharp.Tests.Line()), "Line") |> policyOf)
            "the policies"
    }

// ---- Changed messages ----

/// The number of changed conversations for each side: 500 in the ordinary run, and more if the environment variable says so.
let private count =
    match Environment.GetEnvironmentVariable "FUNTRPO_TESTS_MUTANTS" with
    | null -> 500
    | number -> int number

/// Bytes with some changes at random: single bytes, numbers, pieces that are cut out, repeated or cut off.
let private changed (random: Random) (bytes: byte[]) =
    let mutable bytes = Array.copy bytes

    for _ in 0 .. random.Next 3 do
        if bytes.Length > 4 then
            let at = random.Next(bytes.Length - 4)
            let length = random.Next(bytes.Length - at)

            match random.Next 6 with
            | 0 -> bytes[at] <- byte (random.Next 256)
            | 1 -> bytes[at] <- bytes[at] ^^^ (1uy <<< random.Next 8)
            | 2 -> BitConverter.GetBytes(random.Next(-2, 70000)).CopyTo(bytes, at)
            | 3 -> BitConverter.GetBytes(random.Next()).CopyTo(bytes, at)
            | 4 -> bytes <- Array.append bytes[.. at - 1] bytes[at + length ..]
            | _ -> bytes <- Array.concat [ bytes[.. at + length - 1]; bytes[at..] ]

    bytes

let private conversation =
    Array.concat
        [ hello 1 ""
          message 3 [ int32s [ 3; 0; 1; 2; 7; 8; 9 ] ]
          message 5 [ int32s [ 2; 0; 2 ]; BitConverter.GetBytes 0.5f; BitConverter.GetBytes 1f ]
          message 5 [ int32s [ 1; 1 ]; BitConverter.GetBytes -1f ]
          message 8 [] ]

/// What the server answers to a whole conversation.
let private answersTo (bytes: byte[]) =
    use answers = new MemoryStream()
    RemoteServer.ServeSimulators(new MemoryStream(bytes), answers, Func<Simulator> walk, ServeOptions(Count = 8))
    answers.ToArray()

/// The memory that this thread takes for something.
let private allocated (work: unit -> unit) =
    let before = GC.GetAllocatedBytesForCurrentThread()
    work ()
    GC.GetAllocatedBytesForCurrentThread() - before

let private mutants =
    testList
        "changed messages"
        [ test "end the conversation, with bounded memory, when the server receives them" {
              let random = Random 1
              let expected = answersTo conversation
              Expect.isGreaterThan expected.Length 50 "the conversation"
              let mutable refused = 0

              for _ in 1..count do
                  let bytes = changed random conversation
                  let mutable answer = [||]
                  let memory = allocated (fun () -> answer <- answersTo bytes)
                  Expect.isLessThan memory 1_000_000L "bytes"

                  if answer.Length > 5 && answer <> expected then
                      refused <- refused + 1

              Expect.isGreaterThan refused (count / 10) "refused"
          }
          test "are errors that are told, with bounded memory, when the client receives them" {
              let random = Random 2
              let answers = answersTo conversation
              let mutable failed = 0

              let talk bytes =
                  use remote = RemoteSimulators.Over(new MemoryStream(bytes: byte[]), new MemoryStream())
                  let rows count = Array.zeroCreate<float32>(count * Space.width remote.ObservationSpace)
                  let actions = Array.zeroCreate<float32>(2 * Space.width remote.ActionSpace)
                  resetAll remote [| 0; 1; 2 |] [| 7; 8; 9 |] (rows 3)
                  stepAll remote [| 0; 2 |] actions (rows 2) (Array.zeroCreate 2)

              talk answers

              for _ in 1..count do
                  let bytes = changed random answers

                  let memory =
                      allocated (fun () ->
                          try
                              talk bytes
                          with
                          | :? RemoteException
                          | :? BatchException -> failed <- failed + 1)

                  Expect.isLessThan memory 20_000_000L "bytes"

              Expect.isGreaterThan failed (count / 10) "told"
          } ]

let tests =
    testList "Remote" [ sameBits; spacesCarryOver; refusals; nested; encryption; failures; restarted; facade; mutants ]
