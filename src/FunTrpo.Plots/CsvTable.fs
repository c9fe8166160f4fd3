namespace FunTrpo.Plots

/// A table as text: a line with the names of the columns, and lines of cells. Cells have no commas and no line breaks.
type internal CsvTable = { Names: string[]; Rows: string[][] }

module internal CsvTable =

    /// The rows that are left where there are more than `most`: every n-th row counted from the last one, and how many rows stand behind each.
    let thinned most (rows: 'Row[]) =
        let every = max 1 ((rows.Length + most - 1) / most)

        every,
        rows
        |> Array.rev
        |> Array.indexed
        |> Array.filter (fun (i, _) -> i % every = 0)
        |> Array.map snd
        |> Array.rev

    /// The table in a text. What follows the last line break is no whole line, and is left out.
    let parse (text: string) =
        let lines = text.ReplaceLineEndings("\n").Split '\n'
        let whole = lines |> Array.truncate (lines.Length - 1) |> Array.map _.Split(',')

        { Names = whole |> Array.tryHead |> Option.defaultValue [||]
          Rows = Array.skip (min 1 whole.Length) whole }

    /// The cells of a column; empty texts where there are none.
    let column name table =
        match Array.tryFindIndex ((=) name) table.Names with
        | Some index -> table.Rows |> Array.map (fun row -> if index < row.Length then row[index] else "")
        | None -> table.Rows |> Array.map (fun _ -> "")
