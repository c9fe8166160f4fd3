namespace FunTrpo.MuJoCo.Engine;

/// <summary>
/// Where the fields of the engine's structs are, in bytes from their beginnings, in version 2.2.2 on 64-bit machines. The offsets are those
/// of its header mjmodel.h and mjdata.h. <see cref="Library"/> refuses other versions, and checks the offsets by a model that it knows.
/// </summary>
internal static class Layout
{
    /// <summary>The version that <c>mj_version</c> returns.</summary>
    public const int Version = 222;

    /// <summary>The fields of <c>mjModel</c>: sizes first, then options, and pointers to arrays.</summary>
    public static class Model
    {
        public const int Nq = 0;
        public const int Nv = 4;
        public const int Nu = 8;
        public const int Na = 12;
        public const int Nbody = 16;
        public const int Njnt = 20;
        public const int Ngeom = 24;
        public const int Nsite = 28;
        public const int Npair = 104;
        public const int Nexclude = 108;
        public const int Ntendon = 116;

        public const int Timestep = 232;
        public const int Impratio = 248;
        public const int Tolerance = 256;
        public const int Gravity = 280;
        public const int Density = 352;
        public const int Viscosity = 360;
        public const int Integrator = 432;
        public const int Collision = 436;
        public const int Cone = 440;
        public const int Jacobian = 444;
        public const int Solver = 448;
        public const int Iterations = 452;

        public const int Qpos0 = 1096;
        public const int QposSpring = 1104;
        public const int BodyParentId = 1112;
        public const int BodyPos = 1208;
        public const int BodyQuat = 1216;
        public const int BodyIpos = 1224;
        public const int BodyMass = 1240;
        public const int BodyInertia = 1256;
        public const int JntType = 1280;
        public const int JntQposAdr = 1288;
        public const int JntDofAdr = 1296;
        public const int JntBodyId = 1304;
        public const int JntLimited = 1320;
        public const int JntSolref = 1328;
        public const int JntSolimp = 1336;
        public const int JntPos = 1344;
        public const int JntAxis = 1352;
        public const int JntStiffness = 1360;
        public const int JntRange = 1368;
        public const int JntMargin = 1376;
        public const int DofFrictionloss = 1448;
        public const int DofArmature = 1456;
        public const int DofDamping = 1464;
        public const int GeomType = 1488;
        public const int GeomContype = 1496;
        public const int GeomConaffinity = 1504;
        public const int GeomCondim = 1512;
        public const int GeomBodyId = 1520;
        public const int GeomPriority = 1552;
        public const int GeomSolmix = 1568;
        public const int GeomSolref = 1576;
        public const int GeomSolimp = 1584;
        public const int GeomSize = 1592;
        public const int GeomPos = 1608;
        public const int GeomQuat = 1616;
        public const int GeomFriction = 1624;
        public const int GeomMargin = 1632;
        public const int GeomGap = 1640;
        public const int SiteBodyId = 1680;
        public const int SitePos = 1720;
        public const int ActuatorTrnid = 2728;
        public const int ActuatorCtrllimited = 2744;
        public const int ActuatorCtrlrange = 2792;
        public const int ActuatorGear = 2816;
        public const int Names = 3272;
        public const int NameBodyAdr = 3104;
        public const int NameJntAdr = 3112;
        public const int NameGeomAdr = 3120;
        public const int NameSiteAdr = 3128;
    }

    /// <summary>The fields of <c>mjData</c>: the warnings first, then the time, and pointers to arrays.</summary>
    public static class Data
    {
        public const int Warnings = 24;

        public const int Time = 40336;

        public const int Qpos = 40376;
        public const int Qvel = 40384;
        public const int Act = 40392;
        public const int QaccWarmstart = 40400;
        public const int Ctrl = 40408;
        public const int Qacc = 40448;
        public const int Xpos = 40480;
        public const int Xquat = 40488;
        public const int Xipos = 40504;
        public const int GeomXpos = 40536;
        public const int GeomXmat = 40544;
        public const int SiteXpos = 40552;
        public const int SubtreeCom = 40600;
        public const int Cinert = 40616;
        public const int Cvel = 40960;
        public const int ActuatorForce = 41080;
        public const int QfrcActuator = 41088;
        public const int QfrcConstraint = 41136;
        public const int CfrcExt = 41168;
    }

    /// <summary>The <c>mjWarningStat</c> of a kind of warning: the place of its count, and its size.</summary>
    public const int WarningNumber = 4;

    public const int WarningSize = 8;

    /// <summary>The kinds of warnings after which a simulation has been reset: bad positions, velocities, accelerations, controls.</summary>
    public const int FirstInstability = 4;

    public const int LastInstability = 7;
}
