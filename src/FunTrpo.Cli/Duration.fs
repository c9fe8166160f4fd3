/// Durations as text, as the live view and sweeps tell them.
module FunTrpo.Cli.Duration

open System

/// A number of seconds in its two largest units, such as `2 h 5 min`: more would not be known of a time that is left.
let text (seconds: float) =
    let time = TimeSpan.FromSeconds(min seconds 1e9)

    if time.TotalDays >= 1.0 then $"{int time.TotalDays} d {time.Hours} h"
    elif time.TotalHours >= 1.0 then $"{int time.TotalHours} h {time.Minutes} min"
    elif time.TotalMinutes >= 1.0 then $"{int time.TotalMinutes} min {time.Seconds} s"
    else $"{int (ceil time.TotalSeconds)} s"
