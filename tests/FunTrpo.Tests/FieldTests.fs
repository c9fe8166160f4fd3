/// Fields of a record as text, for each kind of field on a record that is nothing but the value.
module FunTrpo.Tests.FieldTests

open System
open System.Globalization
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators

let private invariant (x: float) = x.ToString("R", CultureInfo.InvariantCulture)

/// The fault of a text that is refused: it has the field's name, the text and what is allowed.
let private expectFault (field: Field<'T>) (text: string) result =
    match result with
    | Error(InvalidSetting(name, value, allowed)) ->
        Expect.equal (name, value) (field.Name, text) "name and value"
        Expect.stringContains allowed field.Allowed "what is allowed"
    | other -> failtest $"{text}: %A{other}"

/// Two bounds with or without themselves, and numbers of which some are the bounds.
let private ranges =
    gen {
        let! low = Gen.choose (-10, 10)
        let! width = Gen.choose (0, 10)
        let! lowIncluded = Gen.elements [ true; false ]
        let! highIncluded = Gen.elements [ true; false ]
        let! between = Gen.choose (-150, 250)
        let low, high = float low, float (low + width)
        let! x = Gen.elements [ low; high; Math.BitIncrement high; Math.BitDecrement low; float between / 10.0 ]

        let range: Field.Range =
            { Low = low; LowIncluded = lowIncluded; High = high; HighIncluded = highIncluded }

        return range, x
    }

let private replace value _ = value

let private numbers =
    testList
        "a number"
        [ property "is taken if it is in the range, with every bit" ranges (fun (range, x) ->
              let field = Field.number "x" "meaning" range id replace

              let isIn =
                  (if range.LowIncluded then range.Low <= x else range.Low < x)
                  && (if range.HighIncluded then x <= range.High else x < range.High)

              let text = invariant x

              if isIn then
                  Expect.equal (field.Set text 99.0) (Ok x) "value"
                  Expect.equal (field.Get x) text "text"
              else
                  expectFault field text (field.Set text 99.0))
          test "has a range in words, with brackets for what is included" {
              let allowed range = (Field.number "x" "meaning" range id replace).Allowed
              Expect.equal (allowed (Field.closed 0.0 1.5)) "a number in [0, 1.5]" "closed"
              Expect.equal (allowed (Field.above 0.0)) "a number in (0, ∞)" "above"

              Expect.equal
                  (allowed { Field.closed -infinity 2.0 with HighIncluded = false })
                  "a number in [−∞, 2)"
                  "below"
          }
          property "above 0 is finite" seeds (fun seed ->
              let x = BitConverter.Int64BitsToDouble seed
              let field = Field.number "x" "meaning" (Field.above 0.0) id replace

              if x > 0.0 && Double.IsFinite x then
                  Expect.equal (field.Set (invariant x) 1.0) (Ok x) "value"
              else
                  expectFault field (invariant x) (field.Set (invariant x) 1.0)) ]

let private integers =
    let any =
        Gen.oneof
            [ Gen.choose (-20, 20) |> Gen.map int64
              seeds
              Gen.elements [ 2147483647L; 2147483648L; -2147483649L ] ]

    testList
        "an integer"
        [ property
              "is taken from its range alone"
              (Gen.zip3 (Gen.choose (-15, 5)) (Gen.choose (0, 15)) any)
              (fun (low, width, value) ->
                  let high = low + width
                  let field = Field.integer "x" "meaning" low high id replace
                  let text = string value

                  if int64 low <= value && value <= int64 high then
                      Expect.equal (field.Set text 99) (Ok(int value)) "value"
                      Expect.equal (field.Get(int value)) text "text"
                  else
                      expectFault field text (field.Set text 99))
          property "that counts or is 0 is never 1" (Gen.zip (Gen.choose (2, 20)) any) (fun (high, value) ->
              let field = Field.branchCount "x" "meaning" high id replace
              let text = string value

              if value = 0L || 2L <= value && value <= int64 high then
                  Expect.equal (field.Set text 99) (Ok(int value)) "value"
              else
                  expectFault field text (field.Set text 99)) ]

let private words =
    testList
        "a word"
        [ property
              "is one of the choices, in the same letters"
              (Gen.zip (Gen.choose (0, 2)) (ArbMap.defaults |> ArbMap.generate<NonNull<string>>))
              (fun (i, other) ->
                  let options = [ "first", 1; "second", 2; "third", 3 ]
                  let field = Field.choice "x" "meaning" options id replace
                  let name, value = options[i]
                  Expect.equal (field.Set name 99) (Ok value) "value"
                  Expect.equal (field.Get value) name "name"
                  Expect.equal field.Allowed "first | second | third" "what is allowed"

                  for text in [ other.Get; name.ToUpperInvariant(); $" {name}" ] do
                      if not (List.exists (fst >> (=) text) options) then
                          expectFault field text (field.Set text 99))
          property "is true or false" (ArbMap.defaults |> ArbMap.generate<NonNull<string>>) (fun other ->
              let field = Field.boolean "x" "meaning" id replace

              for value in [ true; false ] do
                  let text = field.Get value
                  Expect.equal text (if value then "true" else "false") "text"
                  Expect.equal (field.Set text (not value)) (Ok value) "value"

              for text in [ other.Get; "True"; "1"; "" ] do
                  if text <> "true" && text <> "false" then
                      expectFault field text (field.Set text true)) ]

let private layers =
    testList
        "layers"
        [ property "are integers with commas between" (Gen.listOf (Gen.choose (1, 65536))) (fun units ->
              let field = Field.unitsOfLayers "x" "meaning" id replace
              let text = units |> List.map string |> String.concat ","
              Expect.equal (field.Set text [ 7 ]) (Ok units) "value"
              Expect.equal (field.Get units) text "text"
              let wrong = if units.IsEmpty then "0" else text + ",65537"
              expectFault field wrong (field.Set wrong []))
          property "have a text form, if none has too many units" architecture (fun layers ->
              let field = Field.architecture "x" "meaning" id replace
              let text = Architecture.print layers
              Expect.equal (field.Set text []) (Ok layers) "value"
              Expect.equal (field.Get layers) text "text"
              let wrong = Architecture.print (HiddenLayer.Dense(65537, FunTrpo.Kernels.Activation.Tanh) :: layers)
              expectFault field wrong (field.Set wrong [])) ]

let tests = testList "Field" [ numbers; integers; words; layers ]
