module FunTrpo.Tests.SuggestionTests

open Expecto
open FunTrpo

let tests =
    testProperty "a word with one letter lost, doubled, or exchanged with the next still suggests it"
    <| fun (n: uint32) (i: uint32) ->
        let known = "CartPole-v1" :: "train" :: "evaluate" :: (Configuration.fields |> List.map _.Name)
        let word = known[int n % known.Length]
        let i = 1 + int i % (word.Length - 2)
        let exchanged = word.Remove(i, 1).Insert(i - 1, string word[i])

        if word.Length > 4 then
            for typed in [ word.Remove(i, 1); word.Insert(i, string word[i]); exchanged; word.ToUpperInvariant(); word ] do
                Expect.equal
                    (Suggestion.among [ word; "qqqqqqqqqqqqqqqqqqqqqqqq" ] typed)
                    $"; did you mean {word}?"
                    typed

            Expect.equal (Suggestion.among known word) $"; did you mean {word}?" "itself"

        Expect.equal (Suggestion.among known "zzzzzzz") "" "nothing is near"
        Expect.equal (Suggestion.among [] word) "" "nothing is known"
