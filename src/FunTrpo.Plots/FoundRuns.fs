/// Where runs are: the folders of runs below a folder.
module internal FunTrpo.Plots.FoundRuns

open System.IO

/// How deep below a folder its runs are looked for. Those of a sweep are at DIR/ENVIRONMENT/SETTINGS/seed-N.
let deepest = 3

let private has folder name = File.Exists(Path.Combine(folder, name))

/// Whether a run has written to the folder, though it may still be in the middle of it.
let private isRun folder =
    [ RunFiles.configurationFile; RunFiles.summaryFile; RunFiles.progressFile ]
    |> List.exists (has folder)

/// Whether the folder has a result of a run, and says how it was made.
let isComplete folder = has folder RunFiles.summaryFile && has folder RunFiles.configurationFile

/// The folders inside a folder, without links, which could lead back to it.
let private inner folder =
    let options =
        EnumerationOptions(IgnoreInaccessible = true, AttributesToSkip = FileAttributes.ReparsePoint)

    try
        Directory.GetDirectories(folder, "*", options) |> Array.sort |> List.ofArray
    with :? DirectoryNotFoundException ->
        [] // It has been deleted meanwhile.

let rec private downFrom depth folder =
    [ if isRun folder then
          folder
      if depth < deepest then
          yield! inner folder |> List.collect (downFrom (depth + 1)) ]

/// The folders of runs from this folder downward: itself and those of at most three levels below it, also inside the folders of other runs. Links are
/// not followed, except for the folder itself.
let from folder = if Directory.Exists folder then downFrom 0 folder else []
