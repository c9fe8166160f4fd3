// What every script here begins with: the libraries, as `dotnet fsi build.fsx build` leaves them. Outside of the repository,
// `#r "nuget: FunTrpo"` (and for the theory `#r "nuget: FunTrpo.Exact"`) stands in place of it.
#r "../bin/FunTrpo.Kernels.dll"
#r "../bin/FunTrpo.dll"
#r "../bin/FunTrpo.Environments.dll"
#r "../src/FunTrpo.Exact/bin/Release/net10.0/MathNet.Numerics.dll"
#r "../src/FunTrpo.Exact/bin/Release/net10.0/FunTrpo.Exact.dll"
