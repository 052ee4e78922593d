# Compiler rules and third-party packages: everything that must be the same in every translation unit.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  message(FATAL_ERROR "g++ ${CMAKE_CXX_COMPILER_VERSION} miscompiles C++20 coroutines (temporaries in a statement with "
                      "co_await are destroyed twice). Use clang 19 (the presets do) or g++ >= 13.")
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14)
  message(FATAL_ERROR "clang ${CMAKE_CXX_COMPILER_VERSION} is too old for C++20 coroutines; use clang 19.")
endif()
if(NOT KISEKI_IO MATCHES "^(uring|epoll)$")
  message(FATAL_ERROR "KISEKI_IO=${KISEKI_IO}: allowed are uring and epoll")
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()
find_program(LLD_PROGRAM NAMES ld.lld-19 ld.lld)
if(LLD_PROGRAM AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  add_link_options(-fuse-ld=lld)
endif()
# Two heavy translation units at a time are all that a small machine's memory and cores carry.
set_property(GLOBAL PROPERTY JOB_POOLS heavy=2)

find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(prometheus-cpp REQUIRED)
find_package(SQLite3 REQUIRED)
pkg_check_modules(fuse3 REQUIRED IMPORTED_TARGET fuse3)
pkg_check_modules(liburing REQUIRED IMPORTED_TARGET liburing)
pkg_check_modules(hiredis REQUIRED IMPORTED_TARGET hiredis)
pkg_check_modules(isal REQUIRED IMPORTED_TARGET libisal)
pkg_check_modules(lz4 REQUIRED IMPORTED_TARGET liblz4)
pkg_check_modules(zstd REQUIRED IMPORTED_TARGET libzstd)
find_path(BOOST_ROOT_INCLUDE boost/asio/awaitable.hpp REQUIRED)
file(STRINGS ${BOOST_ROOT_INCLUDE}/boost/version.hpp boost_version_line REGEX "define BOOST_VERSION ")
string(REGEX REPLACE ".* ([0-9]+).*" "\\1" boost_version "${boost_version_line}")
if(boost_version LESS 108100)
  message(FATAL_ERROR "Boost >= 1.81 is needed (found ${boost_version}); on Debian 12: apt-get install libboost1.81-dev")
endif()

# Flags of our own code only; third-party headers are SYSTEM.
add_library(kiseki_warnings INTERFACE)
target_compile_options(kiseki_warnings INTERFACE -Wall -Wextra -Wconversion -Wshadow -Werror)

# What changes the ABI of Asio is set once, here, for every translation unit.
add_library(kiseki_flags INTERFACE)
target_include_directories(kiseki_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_include_directories(kiseki_flags SYSTEM INTERFACE ${BOOST_ROOT_INCLUDE})
target_compile_definitions(kiseki_flags INTERFACE
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION
  BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_RECYCLING_ALLOCATOR_CACHE_SIZE=16
  BOOST_ALL_NO_LIB _FILE_OFFSET_BITS=64 SPDLOG_COMPILED_LIB SPDLOG_FMT_EXTERNAL)
if(KISEKI_IO STREQUAL "uring")
  target_compile_definitions(kiseki_flags INTERFACE BOOST_ASIO_HAS_IO_URING BOOST_ASIO_DISABLE_EPOLL)
endif()
target_link_libraries(kiseki_flags INTERFACE Threads::Threads fmt::fmt spdlog::spdlog PkgConfig::liburing)
set(KISEKI_SLOWDOWN 1)        # how many times longer a test may take than in a plain build
set(KISEKI_TEST_ENVIRONMENT)  # of every test: here, for the sanitizers' reports to name functions and lines
find_program(SYMBOLIZER_PROGRAM NAMES llvm-symbolizer-19 llvm-symbolizer)
set(symbolizer $<$<BOOL:${SYMBOLIZER_PROGRAM}>:external_symbolizer_path=${SYMBOLIZER_PROGRAM}>)
if(KISEKI_SANITIZE STREQUAL "address")
  set(KISEKI_SLOWDOWN 3)
  set(KISEKI_TEST_ENVIRONMENT "ASAN_OPTIONS=${symbolizer}"
      "UBSAN_OPTIONS=print_stacktrace=1:${symbolizer}")
  target_compile_options(kiseki_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(kiseki_flags INTERFACE -fsanitize=address,undefined)
elseif(KISEKI_SANITIZE STREQUAL "thread")
  set(KISEKI_SLOWDOWN 6)
  set(KISEKI_TEST_ENVIRONMENT "TSAN_OPTIONS=die_after_fork=0:${symbolizer}")  # a test forks, and its child has threads
  target_compile_options(kiseki_flags INTERFACE -fsanitize=thread -fno-omit-frame-pointer)
  target_link_options(kiseki_flags INTERFACE -fsanitize=thread)
endif()

# Bodies of the header-only Boost libraries, compiled once.
add_library(kiseki_boost STATIC
  ${CMAKE_SOURCE_DIR}/cmake/boost/asio.cpp ${CMAKE_SOURCE_DIR}/cmake/boost/asio_ssl.cpp
  ${CMAKE_SOURCE_DIR}/cmake/boost/beast.cpp ${CMAKE_SOURCE_DIR}/cmake/boost/url.cpp
  ${CMAKE_SOURCE_DIR}/cmake/boost/json.cpp)
target_link_libraries(kiseki_boost PUBLIC kiseki_flags OpenSSL::SSL OpenSSL::Crypto)
