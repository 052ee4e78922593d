// A tree like a source archive's: three levels of directories, most files a few KiB, some large, some links.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <random>
#include <stdexcept>
#include <vector>

#include "run.hpp"

namespace loadgen {
namespace {

// Source code in kernel trees: median about 5 KiB, mean about 14 KiB. Log-normal with those two.
std::size_t file_bytes(std::mt19937_64& random) {
  // std::lognormal_distribution may differ between libraries; a sum of uniforms is the same everywhere.
  double normal = -6;
  for (int i = 0; i < 12; ++i) normal += static_cast<double>(random() >> 11) / 9007199254740992.0;
  double bytes = 5000;
  for (double step = normal * 1.4; step > 0; step -= 0.1) bytes *= 1.10517;
  for (double step = normal * 1.4; step < 0; step += 0.1) bytes /= 1.10517;
  return static_cast<std::size_t>(bytes < 1e6 ? bytes : 1e6);
}

void make_dir(const std::string& path) {
  if (mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) throw std::runtime_error(path + ": " + std::strerror(errno));
}

void make_file(const std::string& path, std::size_t size, std::mt19937_64& random) {
  std::vector<char> body(size);
  for (auto& byte : body) byte = static_cast<char>('a' + random() % 26);
  const int fd = open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
  const bool written = fd >= 0 && write(fd, body.data(), body.size()) == static_cast<ssize_t>(body.size());
  if (!written || close(fd) != 0) throw std::runtime_error(path + ": " + std::strerror(errno));
}

}  // namespace

Outcome make_tree(const Options& options) {
  constexpr std::uint64_t kFilesPerDir = 12, kDirsPerTop = 20;
  std::mt19937_64 random(20261);  // its sequence is fixed by the standard
  Outcome done;
  std::string dir;
  for (std::uint64_t i = 0; i < options.count; ++i) {
    const auto directory = i / kFilesPerDir;
    if (i % kFilesPerDir == 0) {
      const auto top = options.dir + "/part" + std::to_string(directory / kDirsPerTop);
      make_dir(top);
      dir = top + "/module" + std::to_string(directory % kDirsPerTop);
      make_dir(dir);
    }
    const auto path = dir + "/file" + std::to_string(i) + ".c";
    if (i % 97 == 96) {
      if (symlink("file0.c", path.c_str()) != 0) throw std::runtime_error(path + ": " + std::strerror(errno));
    } else {
      make_file(path, file_bytes(random), random);
    }
    ++done.operations;
  }
  return done;
}

}  // namespace loadgen
