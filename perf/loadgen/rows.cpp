// The rows: what each prepares and the operation it times. Taking away what they made is the caller's business.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <stdexcept>
#include <vector>

#include "run.hpp"

namespace loadgen {
namespace {

std::string numbered(const std::string& prefix, std::uint64_t number) {
  auto digits = std::to_string(number);
  if (digits.size() < 5) digits.insert(0, 5 - digits.size(), '0');
  return prefix + digits;
}

// A cheap repeatable shuffle, so that neighbours in time are not neighbours in the directory.
std::uint64_t scattered(std::uint64_t index, std::uint64_t count) { return (index * 2654435761u) % count; }

[[noreturn]] void fail(const std::string& what, int problem) {
  throw std::runtime_error(what + ": " + std::strerror(problem));
}

// Directory of `thread`: the common one, or its own (made here).
std::vector<std::string> thread_dirs(const Options& options) {
  std::vector<std::string> dirs(options.threads, options.dir);
  if (!options.private_dirs) return dirs;
  for (unsigned t = 0; t < options.threads; ++t) {
    dirs[t] += "/t" + std::to_string(t);
    if (mkdir(dirs[t].c_str(), 0755) != 0 && errno != EEXIST) fail(dirs[t], errno);
  }
  return dirs;
}

int write_file(const std::string& path, const std::vector<char>& body) {
  const int fd = open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
  if (fd < 0) return errno;
  int problem = 0;
  for (std::size_t done = 0; done < body.size() && problem == 0;) {
    const ssize_t wrote = write(fd, body.data() + done, body.size() - done);
    if (wrote < 0)
      problem = errno;
    else
      done += static_cast<std::size_t>(wrote);
  }
  return close(fd) != 0 && problem == 0 ? errno : problem;  // close is where a file system reports a failed flush
}

// Reads to the end; a file of another length than expected is EIO, so a wrong answer cannot look fast.
int read_file(const std::string& path, std::vector<char>& buffer, std::uint64_t expected) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  std::uint64_t total = 0;
  int problem = 0;
  for (;;) {
    const ssize_t got = read(fd, buffer.data(), buffer.size());
    if (got < 0) problem = errno;
    if (got <= 0) break;
    total += static_cast<std::uint64_t>(got);
  }
  if (problem == 0 && total != expected) problem = EIO;
  return close(fd) != 0 && problem == 0 ? errno : problem;
}

// Makes PREFIX00000.. unless they exist already: a null file system has them by decree.
void make_files(const Options& options, std::uint64_t count) {
  const std::vector<char> body(options.size, 'x');
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto path = options.dir + "/" + numbered(options.prefix, i);
    struct stat found;
    if (stat(path.c_str(), &found) == 0) continue;
    if (const int problem = write_file(path, body)) fail(path, problem);
  }
}

Outcome prepare(const Options& options) {
  make_files(options, options.count);
  Outcome done;
  done.operations = options.count;
  return done;
}

Outcome stat_files(const Options& options) {
  constexpr std::uint64_t kFiles = 64;
  make_files(options, kFiles);
  std::vector<std::string> paths;
  for (std::uint64_t i = 0; i < kFiles; ++i) paths.push_back(options.dir + "/" + numbered(options.prefix, i));
  return run_threads(options, [&](unsigned, std::uint64_t index) {
    struct stat found;
    return stat(paths[scattered(index, kFiles)].c_str(), &found) == 0 ? 0 : errno;
  });
}

Outcome open_close(const Options& options) {
  constexpr std::uint64_t kFiles = 64;
  make_files(options, kFiles);
  std::vector<std::string> paths;
  for (std::uint64_t i = 0; i < kFiles; ++i) paths.push_back(options.dir + "/" + numbered(options.prefix, i));
  return run_threads(options, [&](unsigned, std::uint64_t index) {
    const int fd = open(paths[scattered(index, kFiles)].c_str(), O_RDONLY | O_CLOEXEC);
    return fd >= 0 && close(fd) == 0 ? 0 : errno;
  });
}

Outcome create_unlink(const Options& options) {
  const auto dirs = thread_dirs(options);
  return run_threads(options, [&](unsigned thread, std::uint64_t index) {
    const auto path = numbered(dirs[thread] + "/n", index);
    const int fd = open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0) return errno;
    if (close(fd) != 0) return errno;
    return unlink(path.c_str()) == 0 ? 0 : errno;
  });
}

Outcome mkdir_only(const Options& options) {
  const auto dirs = thread_dirs(options);
  return run_threads(options, [&](unsigned thread, std::uint64_t index) {
    return mkdir(numbered(dirs[thread] + "/d", index).c_str(), 0755) == 0 ? 0 : errno;
  });
}

Outcome rename_back_and_forth(const Options& options) {
  const auto dirs = thread_dirs(options);
  std::vector<std::string> here(options.threads), there(options.threads);
  for (unsigned t = 0; t < options.threads; ++t) {
    here[t] = dirs[t] + "/r" + std::to_string(t);
    there[t] = here[t] + ".moved";
    if (const int problem = write_file(here[t], {})) fail(here[t], problem);
  }
  const auto outcome = run_threads(options, [&](unsigned thread, std::uint64_t) {
    const int problem = rename(here[thread].c_str(), there[thread].c_str()) == 0 ? 0 : errno;
    std::swap(here[thread], there[thread]);
    return problem;
  });
  for (const auto& path : here) unlink(path.c_str());
  return outcome;
}

Outcome write_files(const Options& options) {
  const std::vector<char> body(options.size, 'w');
  const auto dirs = thread_dirs(options);
  return run_threads(options, [&](unsigned thread, std::uint64_t index) {
    return write_file(numbered(dirs[thread] + "/" + options.prefix, index), body);
  });
}

Outcome read_files(const Options& options) {
  constexpr std::size_t kBufferBytes = 1 << 20;
  std::vector<std::vector<char>> buffers(options.threads, std::vector<char>(kBufferBytes));
  return run_threads(options, [&](unsigned thread, std::uint64_t index) {
    return read_file(numbered(options.dir + "/" + options.prefix, index), buffers[thread], options.size);
  });
}

// Counts the entries of `dir` but . and ..; with `each_stat` an lstat of each as it comes, as ls -l does. Answers 0 or
// an errno.
int list_once(const std::string& dir, bool each_stat, std::uint64_t& entries) {
  const int folder = open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return errno;
  DIR* stream = fdopendir(folder);
  if (stream == nullptr) return errno;
  int problem = 0;
  errno = 0;
  while (const dirent* entry = readdir(stream)) {
    if (std::strcmp(entry->d_name, ".") == 0 || std::strcmp(entry->d_name, "..") == 0) continue;
    ++entries;
    struct stat found;
    if (each_stat && fstatat(folder, entry->d_name, &found, AT_SYMLINK_NOFOLLOW) != 0) problem = errno;
    errno = 0;
  }
  if (errno != 0) problem = errno;
  closedir(stream);
  return problem;
}

// Counts entries, not listings; only the listing itself is timed.
Outcome list(const Options& options, bool each_stat) {
  Outcome sum;
  for (unsigned round = 0; round < options.rounds; ++round) {
    if (!options.drop.empty() && std::system(options.drop.c_str()) != 0) fail(options.drop, EIO);
    const auto begin = std::chrono::steady_clock::now();
    const int problem = list_once(options.dir, each_stat, sum.operations);
    const auto took = std::chrono::steady_clock::now() - begin;
    sum.seconds += std::chrono::duration<double>(took).count();
    sum.latency.add(static_cast<std::uint64_t>(std::chrono::nanoseconds(took).count()));
    if (problem != 0 && sum.errors++ == 0) sum.first_errno = problem;
  }
  return sum;
}

const std::map<std::string, std::function<Outcome(const Options&)>>& rows() {
  static const std::map<std::string, std::function<Outcome(const Options&)>> table = {
      {"prepare", prepare},
      {"stat", stat_files},
      {"open_close", open_close},
      {"create_unlink", create_unlink},
      {"mkdir", mkdir_only},
      {"rename", rename_back_and_forth},
      {"write_files", write_files},
      {"read_files", read_files},
      {"ls_f", [](const Options& o) { return list(o, false); }},
      {"ls_l", [](const Options& o) { return list(o, true); }},
      {"tree", make_tree},
  };
  return table;
}

}  // namespace

Outcome run_row(const Options& options) {
  const auto row = rows().find(options.row);
  if (row == rows().end()) {
    std::string known;
    for (const auto& [name, run] : rows()) known += " " + name;
    throw std::runtime_error("unknown row '" + options.row + "'; known:" + known);
  }
  return row->second(options);
}

}  // namespace loadgen
