namespace FunTrpo.Plots

open System.IO
open System.Net
open System.Reflection
open System.Text.RegularExpressions
open Plotly.NET

/// A script of a page. It is in the page, or at an address of its own with this name.
type internal PageScript = { Name: string; Text: Lazy<string> }

/// A page without its frame, which all pages share: page.html, page.css and page.js of the folder Page.
type internal Page =
    {
        /// A text, in which no character has a meaning in HTML.
        Title: string
        /// HTML.
        Body: string
        /// JSON for the scripts of the page; none if they get it in another way.
        Data: string option
        /// In the order in which they run.
        Scripts: PageScript list
    }

module internal Page =

    let private textOf (stream: Stream) =
        use reader = new StreamReader(stream)
        reader.ReadToEnd()

    /// A file of the folder Page that an assembly holds.
    let resourceOf (assembly: Assembly) (name: string) = textOf (assembly.GetManifestResourceStream name)

    /// A file of the folder Page.
    let resource name = resourceOf typeof<Page>.Assembly name

    let script name = { Name = name; Text = lazy resource name }

    /// plotly.js, which Plotly.NET holds.
    let private plotlyJs () =
        let assembly = typeof<GenericChart>.Assembly

        assembly.GetManifestResourceNames()
        |> Array.find (fun name -> name.EndsWith ".min.js")
        |> assembly.GetManifestResourceStream
        |> textOf

    let plotly = { Name = "plotly.js"; Text = Lazy<string> plotlyJs }

    /// What the other scripts share.
    let common = script "page.js"

    let styleSheet = "page.css"

    /// The template with its parts, each of which stands in the place of {{its name}}. Nothing inside a part is replaced. Throws
    /// `KeyNotFoundException` for a part that the template has and `parts` has not.
    let fill parts template =
        let parts = dict parts
        // The odd pieces are the names of parts.
        Regex.Split(template, @"\{\{(\w+)\}\}")
        |> Array.mapi (fun i piece -> if i % 2 = 1 then parts[piece] else piece)
        |> String.concat ""

    let private withFrame style scriptOf page =
        let data =
            match page.Data with
            | Some json -> $"<script type=\"application/json\" id=\"data\">{json}</script>"
            | None -> ""

        resource "page.html"
        |> fill
            [ "title", WebUtility.HtmlEncode page.Title
              "style", style
              "body", page.Body
              "data", data
              "scripts", page.Scripts |> List.map scriptOf |> String.concat "\n" ]

    /// The browser is to load nothing but the page.
    let private selfContainedPolicy =
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:\">"

    /// The page as one HTML file with all that it needs.
    let selfContained page =
        let style = $"{selfContainedPolicy}\n<style>\n{resource styleSheet}</style>"
        page |> withFrame style (fun script -> $"<script>\n{script.Text.Value}\n</script>")

    /// The page as HTML that gets its style sheet and its scripts from the server that it comes from.
    let linked page =
        let style = $"<link rel=\"stylesheet\" href=\"/{styleSheet}\">"
        page |> withFrame style (fun script -> $"<script src=\"/{script.Name}\"></script>")
