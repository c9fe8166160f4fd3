namespace FunTrpo

open System
open System.Globalization

/// One field of a record with its value as text, for command lines, files and tables.
type Field<'Record> =
    {
        Name: string
        Meaning: string
        /// A description of the values that the field may have.
        Allowed: string
        /// True if the value is a JSON string; false if it is a JSON number or Boolean.
        IsText: bool
        Get: 'Record -> string
        Set: string -> 'Record -> Result<'Record, Fault>
    }

/// The kinds of fields. `get` reads the value from a record, and `set` returns the record with another value.
module internal Field =

    /// Numbers between two bounds, either of which may be excluded.
    [<NoComparison>]
    type Range = { Low: float; LowIncluded: bool; High: float; HighIncluded: bool }

    /// The numbers from `low` to `high`, both included.
    let closed low high = { Low = low; LowIncluded = true; High = high; HighIncluded = true }

    /// The numbers above `low`.
    let above low = { Low = low; LowIncluded = false; High = infinity; HighIncluded = false }

    let private within range x =
        (x > range.Low || range.LowIncluded && x = range.Low)
        && (x < range.High || range.HighIncluded && x = range.High)

    let private describe (kind: string) range =
        let text (x: float) =
            if Double.IsPositiveInfinity x then "∞"
            elif Double.IsNegativeInfinity x then "−∞"
            else x.ToString CultureInfo.InvariantCulture

        let opening = if range.LowIncluded then "[" else "("
        let closing = if range.HighIncluded then "]" else ")"
        $"{kind} in {opening}{text range.Low}, {text range.High}{closing}"

    let private field name meaning allowed isText print parse get set =
        { Name = name
          Meaning = meaning
          Allowed = allowed
          IsText = isText
          Get = get >> print
          Set =
            fun text record ->
                match parse text with
                | Some value -> Ok(set value record)
                | None -> Error(InvalidSetting(name, text, $"it must be {allowed}")) }

    /// A number in a range.
    let number name meaning range get set =
        let parse (text: string) =
            match Double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture) with
            | true, value when within range value -> Some value
            | _ -> None

        let print (value: float) = value.ToString("R", CultureInfo.InvariantCulture)

        field name meaning (describe "a number" range) false print parse get set

    let private parseInteger low high (text: string) =
        match Int32.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture) with
        | true, value when low <= value && value <= high -> Some value
        | _ -> None

    /// An integer between two bounds.
    let integer name meaning low high get set =
        field
            name
            meaning
            (describe "an integer" (closed (float low) (float high)))
            false
            (string: int -> string)
            (parseInteger low high)
            get
            set

    /// A number of branches: 0, or at least 2, because a single branch has no other one as its baseline.
    let branchCount name meaning high get set =
        let parse = parseInteger 0 high >> Option.filter ((<>) 1)
        field name meaning $"0, or an integer in [2, {string high}]" false (string: int -> string) parse get set

    /// One of several names.
    let choice name meaning (options: (string * 'T) list) get set =
        let print value =
            options
            |> List.tryPick (fun (text, option) -> if option = value then Some text else None)
            |> Option.defaultWith (fun () -> string value) // an enumeration can hold values without a name

        let parse text = options |> List.tryPick (fun (name, option) -> if name = text then Some option else None)

        field name meaning (options |> List.map fst |> String.concat " | ") true print parse get set

    /// A Boolean, as true or false.
    let boolean name meaning get set =
        let print value = if value then "true" else "false"

        let parse text =
            match text with
            | "true" -> Some true
            | "false" -> Some false
            | _ -> None

        field name meaning "true | false" false print parse get set

    /// The largest number of units of a layer.
    let private maxUnits = 65536

    /// The units of each layer.
    let unitsOfLayers name meaning get set =
        let print (units: int list) = units |> List.map string |> String.concat ","

        let parse (text: string) =
            if text = "" then
                Some []
            else
                let units = text.Split ',' |> List.ofArray |> List.map (parseInteger 1 maxUnits)
                let areRight = units.Length <= Architecture.maxLayers && List.forall Option.isSome units
                if areRight then Some(List.choose id units) else None

        field
            name
            meaning
            $"the units of each layer, integers in [1, {string maxUnits}] with commas between, or nothing"
            true
            print
            parse
            get
            set

    /// An architecture in its text form.
    let architecture name meaning get set =
        let allowed =
            $"nothing, or at most {string Architecture.maxLayers} layers with semicolons between, and no number above {string maxUnits}: {HiddenLayer.forms}"

        let requireNumbers (architecture: Architecture) =
            match
                architecture |> List.collect HiddenLayer.numbers |> List.tryFind (fun number -> number > maxUnits)
            with
            | None -> Ok architecture
            | Some number -> Error $"a layer has the number {string number}"

        { Name = name
          Meaning = meaning
          Allowed = allowed
          IsText = true
          Get = get >> Architecture.print
          Set =
            fun text record ->
                match Architecture.parse text |> Result.bind requireNumbers with
                | Ok value -> Ok(set value record)
                | Error why -> Error(InvalidSetting(name, text, $"it must be {allowed}; {why}")) }
