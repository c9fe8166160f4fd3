// What every script here begins with: the libraries, as `dotnet fsi build.fsx build` leaves them.
#r "../bin/FunTrpo.Kernels.dll"
#r "../bin/FunTrpo.dll"
#r "../bin/FunTrpo.Environments.dll"
