/// The files that the server has for browsers: the list of runs, the page of a run, and what they need.
module internal FunTrpo.Watch.Pages

open System
open System.Security.Cryptography
open System.Text
open FunTrpo
open FunTrpo.Plots

type File = { Type: string; Content: byte[]; Tag: string }

let private file kind (text: string) =
    let content = Encoding.UTF8.GetBytes text
    let tag = $"\"{Convert.ToHexString(SHA256.HashData content, 0, 8)}\""
    { Type = $"{kind}; charset=utf-8"; Content = content; Tag = tag }

let private resource name = Page.resourceOf typeof<Source>.Assembly name

let private script name = { Name = name; Text = lazy resource name }

let private version = typeof<Fault>.Assembly.GetName().Version.ToString 3

let private index =
    { Title = "Training runs"
      Body = resource "index.html" |> Page.fill [ "footer", $"Served by FunTrpo {version}." ]
      Data = None
      Scripts = [ Page.common; script "follow.js"; script "index.js" ] }

/// The page of any run: its script asks for the data of the run that the address names.
let private run =
    let footer =
        $"Served by FunTrpo {version} from the files of the run; progress.csv has every number. Of more than {Progress.mostRows} iterations the charts show every n-th one."

    let frame = ReportPage.frame "Training run" "<a href=\"/\">All runs</a>" footer
    { frame with Scripts = frame.Scripts @ [ script "follow.js"; script "live.js" ] }

/// Each file by its path. plotly.js is large, so each is made when it is first asked for.
let files =
    let linked page = lazy file "text/html" (Page.linked page)

    [ "/", linked index
      "/run", linked run
      $"/{Page.styleSheet}", lazy file "text/css" (Page.resource Page.styleSheet)
      for script in index.Scripts @ run.Scripts |> List.distinctBy _.Name do
          $"/{script.Name}", lazy file "text/javascript" script.Text.Value ]
    |> dict
