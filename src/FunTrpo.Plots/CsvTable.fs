namespace FunTrpo.Plots

/// A table as text: a line with the names of the columns, and lines of cells. Cells have no commas and no line breaks.
type internal CsvTable = { Names: string[]; Rows: string[] }

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

    let empty = { Names = [||]; Rows = [||] }

    /// The table with more lines. The first line of an empty table names its columns.
    let add (lines: string[]) table =
        match lines with
        | [||] -> table
        | _ when table.Names.Length = 0 -> { Names = (Array.head lines).Split ','; Rows = Array.tail lines }
        | _ -> { table with Rows = Array.append table.Rows lines }

    /// The whole lines of a text: what follows the last line break is none.
    let linesOf (text: string) =
        let lines = text.ReplaceLineEndings("\n").Split '\n'
        Array.truncate (lines.Length - 1) lines

    /// The table in a text. What follows the last line break is left out.
    let parse text = add (linesOf text) empty

    /// The cell of a row at an index; an empty text if it has none.
    let rec private cell index (row: string) (start: int) =
        let comma = row.IndexOf(',', start)
        let ending = if comma < 0 then row.Length else comma

        if index = 0 then row.Substring(start, ending - start)
        elif comma < 0 then ""
        else cell (index - 1) row (comma + 1)

    /// The cells of a column; empty texts where there are none.
    let column name table =
        match Array.tryFindIndex ((=) name) table.Names with
        | Some index -> table.Rows |> Array.map (fun row -> cell index row 0)
        | None -> table.Rows |> Array.map (fun _ -> "")
