#pragma once

/// The version of this library and client. The build reads it from here.
namespace kiseki {

inline constexpr char kVersionNumber[] = "0.1.0";
/// The JuiceFS whose volumes this version reads and writes.
inline constexpr char kJuicefsVersion[] = "1.4.1";

}  // namespace kiseki
