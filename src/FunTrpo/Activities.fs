namespace FunTrpo

open System.Diagnostics

/// Iterations and their stages as activities of .NET, which tracing tools collect. Without a listener there are none, and nothing is
/// allocated: the functions return null, which `use` accepts.
module Activities =

    /// The source of the activities. Its name is FunTrpo.
    let source = new ActivitySource("FunTrpo")

    /// Starts the activity of an iteration of training on an environment.
    let internal iteration (environment: string) (number: int) =
        match source.StartActivity "funtrpo.iteration" with
        | null -> null
        | activity -> activity.SetTag("environment", environment).SetTag("iteration", number)

    /// Starts the activity of a stage. It belongs to its iteration also on another thread, where .NET does not know that.
    let internal stage (iteration: Activity) (name: string) =
        match iteration with
        | null -> null
        | iteration -> source.StartActivity(name, ActivityKind.Internal, iteration.Context)

    /// The result. Its fault, if it is one, becomes the status of the activity.
    let internal withStatus (activity: Activity) (result: Result<'T, Fault>) =
        match result with
        | Error fault when not (isNull activity) ->
            activity.SetStatus(ActivityStatusCode.Error, Fault.message fault) |> ignore
        | _ -> ()

        result
