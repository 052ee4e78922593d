#pragma once

#include <string_view>

/// Made by other code than ours (Python's cryptography, the zstd and lz4 programs' libraries) from objects.md 5 and 6.
namespace kiseki::object::vectors {

inline constexpr std::string_view kKeyPem = R"(-----BEGIN PRIVATE KEY-----
MIICdwIBADANBgkqhkiG9w0BAQEFAASCAmEwggJdAgEAAoGBANLzVsxHBIyF7Bpk
yAP1iIAvqCgM1470fqFWcopAdyNcWgGor6eNIRSOu+XiEY/vyqaBDI4iLvUr4Lsz
LTL39zBsnY1reUfjkcs5IOLLTDX9/pYJ6VtCTHwfwe4GRFLmrfjO2c9ntkIZ7nKu
7c/KdTPmpwwUsoQu9XVhvLmcnrLxAgMBAAECgYEAvzZ9zgrtr6bRHheOSjBs+6y3
Ix6I4fbzNbFTf8fxdicHGwvZtOmzO5wp67Wgr7TvH0BIrimEIQ4V1foMlW+5KhEy
xifSWSC1+shsqi4/BZpJCOsfTJP3dk6gTctUHjmGj57gispTBsvtG0R4L88si6cs
dzRbXB9P3qzI5L+JSTECQQDwT/e0CUKl3oixYmwljMljB0XlpeXx1+cdi+8mtsP8
uYB9EgrTKVUNbjh6ZZ4zGg62EtuxYU4iGc1z+i8jJThFAkEA4LivUyNuAJerQW4M
JBcEjbLwcBLVDzX8oLiTyCqNOv6CoUVXSkUnAZTO6EDup/M0CFU1tN7G99u853LR
qfoIvQJAWknBSDw+dTFx7CuNdGI7+9/srAazqTS0Gc7MkKAUbKyJkPQpawLZeM1T
nPD3Cj4dDt1w+2kSwQ8uuQdjlHHUfQJAePHtKom/AoKeoTBhSGs7ACh2T1tTYERm
Gvo8T1bXfBDOrY1sVYSyYZ99XHLV/35dWr7BkP71hyC0oryhKyJu4QJBAIP0avQZ
TwYAxYjtKJyrcXbuMwjrQbIgSFIFKIU8IkqXsayGRLYl7VQzcp8eu3Yfu9eQ4N8d
Cq+JTCYY6RFqFco=
-----END PRIVATE KEY-----
)";

/// The envelope of kText: data key 00..1f, nonce 64..6f, wrapped for kKeyPem.
inline constexpr std::string_view kText = "a block of a file";
inline constexpr std::string_view kAesObject =
    "00800caa156315cc40359f34d454969a580690d67a97cbf8ae52ab3b8579c63be77b3db4c47cd815649a6e82ac149edcba09"
    "278a3d24cd5e1c885b3c60e0205f2ae49531b40c71daf133ea622734aa66edaa4d4dd3b8b4f469c26d5ef9faf5b9aba7ad93"
    "4c5a37688ac1830e231c5c4555ecc9d81ea72651cb32bd73e2ba27974340a26465666768696a6b6c6d6e6f293bbc0a168a3d"
    "be51047f89fa0303912752637d41d749f5f7ae2063a5eda87176";
inline constexpr std::string_view kChachaObject =
    "00800cbc1d8d82f9c5b2f57a9be26bc5dd88da7d5e571f3efb190bfe2c7d824d94a42fe916d5965de7bd7a36a0e88a48e1e1"
    "7412ad7381592931bce9dd0b33a56d646876746e59f07d5f289e74cd50096dc34e88bb3d3e5bca70f34ed4a02d0f81dab43d"
    "79300c513207d5debc5eb63e589decb68b2e3387886b7118e199a52ceb3b016465666768696a6b6c6d6e6f5531d9a6f7c61d"
    "7294b8351ed2efb1ff15752762b481a3a47f0e89b367d1922413";

inline constexpr std::string_view kLz4OfA = "1061", kLz4Of32Ab = "2f6162020026506261626162";
inline constexpr std::string_view kZstdOfA = "28b52ffd200109000061", kZstdOf32Ab = "28b52ffd204045000010616201004b7258";
/// "a" in a frame that does not tell its content size (made by streaming).
inline constexpr std::string_view kZstdWithoutSize = "28b52ffd005809000061";

}  // namespace kiseki::object::vectors
