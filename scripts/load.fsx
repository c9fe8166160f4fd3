// Every script here begins with this file. It references the libraries that `dotnet fsi build.fsx build` has built. Outside of the
// repository, write `#r "nuget: FunTrpo"` (for the theory `#r "nuget: FunTrpo.Exact"`) instead.
#r "../bin/FunTrpo.Kernels.dll"
#r "../bin/FunTrpo.dll"
#r "../bin/FunTrpo.Environments.dll"
#r "../src/FunTrpo.Exact/bin/Release/net10.0/MathNet.Numerics.dll"
#r "../src/FunTrpo.Exact/bin/Release/net10.0/FunTrpo.Exact.dll"
