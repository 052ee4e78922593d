#pragma once

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "meta/client.hpp"
#include "meta/ops.hpp"
#include "oracle.hpp"

namespace kiseki::model {

using meta::Client;

/// The mount around a client: what it has open, and what it was told to delete (done between steps).
struct Mount : meta::OpenInodes, meta::DataReaper {
  std::unique_ptr<Client> client;
  std::vector<Ino> opened;
  std::vector<std::pair<Ino, std::uint64_t>> removed;
  bool is_open(Ino ino) const override { return std::find(opened.begin(), opened.end(), ino) != opened.end(); }
  void file_removed(Ino ino, std::uint64_t length) override { removed.emplace_back(ino, length); }
  void slices_released(std::vector<meta::DelayedSlice> slices) override {
    released.insert(released.end(), slices.begin(), slices.end());
  }
  std::vector<meta::DelayedSlice> released;
};

/// Does the same random thing to the volume and to the oracle, step by step, and compares.
class Actor {
 public:
  Actor(std::uint64_t seed, bool trash, std::vector<Mount*> mounts, std::shared_ptr<ManualClock> clock);

  /// One operation on both. False: they disagreed (the test has failed).
  asio::awaitable<bool> step();
  /// The whole tree of both, and one file's content.
  asio::awaitable<bool> same_tree();
  asio::awaitable<bool> same_contents();
  /// Lets go of what is still open.
  asio::awaitable<void> close_all();
  std::string trace(std::size_t last = 25) const;

 private:
  using Step = asio::awaitable<int> (Actor::*)();
  int pick(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }
  int any_node() { return pick(oracle_.size()); }
  int likely_dir();
  int likely_file();
  std::string name();
  std::uint64_t offset();
  Client& client() { return *mounts_[static_cast<std::size_t>(who_)]->client; }
  Mount& mount() { return *mounts_[static_cast<std::size_t>(who_)]; }
  Ino ino(int n) const { return inos_[static_cast<std::size_t>(n)]; }
  void say(const std::string& text) {  // the names of 255 bytes are shown short
    what_.clear();
    for (std::size_t i = 0; i < text.size(); ++i)
      if (i < 4 || text.compare(i - 4, 5, std::string(5, text[i])) != 0) what_.push_back(text[i]);
  }
  void made(Ino ino) { inos_.push_back(ino); }
  template <class T>
  int answer(const Result<T>& result) {
    got_ = result ? 0 : to_errno(result.error());
    return got_;
  }
  bool same_attr(const std::string& path, int n, const meta::Attr& attr);
  asio::awaitable<Result<Content>> stored_content(Ino ino);

  // Each says what it does, does it to the oracle (returned: the errno due) and to the volume (got_).
  asio::awaitable<int> make_file();
  asio::awaitable<int> make_dir();
  asio::awaitable<int> make_fifo();
  asio::awaitable<int> make_symlink();
  asio::awaitable<int> make_nameless();
  asio::awaitable<int> link();
  asio::awaitable<int> unlink();
  asio::awaitable<int> rmdir();
  asio::awaitable<int> rename();
  asio::awaitable<int> chmod();
  asio::awaitable<int> chown();
  asio::awaitable<int> utimes();
  asio::awaitable<int> chattr();
  asio::awaitable<int> truncate();
  asio::awaitable<int> fallocate();
  asio::awaitable<int> write();
  asio::awaitable<int> copy();
  asio::awaitable<int> set_xattr();
  asio::awaitable<int> get_xattr();
  asio::awaitable<int> remove_xattr();
  asio::awaitable<int> list_xattrs();
  asio::awaitable<int> readlink();
  asio::awaitable<int> lookup();
  asio::awaitable<int> getattr();
  asio::awaitable<int> open();
  asio::awaitable<int> close();
  asio::awaitable<int> reap();
  asio::awaitable<int> make_any(Kind kind, std::string target);

  std::mt19937_64 random_;
  std::vector<Mount*> mounts_;
  std::shared_ptr<ManualClock> clock_;
  Oracle oracle_;
  std::vector<Ino> inos_;
  int who_ = 0;
  int got_ = 0;
  int touched_ = -1;  ///< the node whose content this step may have changed
  std::string what_;
  std::vector<std::string> trace_;
};

}  // namespace kiseki::model
