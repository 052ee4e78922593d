#include <cerrno>

#include "oracle.hpp"

namespace kiseki::model {

bool Oracle::below(int n, int top) const {
  for (; n != 0; n = node(n).above)
    if (n == top) return true;
  return top == 0;
}

int Oracle::rename(int client, int from, const std::string& name, int to, const std::string& to_name, unsigned flags) {
  constexpr unsigned kNoReplace = 1, kExchange = 2, kWhiteout = 4;
  if (flags & ~7u) return EINVAL;
  bool swap = flags & kExchange;
  if (swap && (flags & (kNoReplace | kWhiteout))) return EINVAL;
  if (name.size() > 255) return ENAMETOOLONG;
  if (to_name == "." || to_name == ".." || name == "." || name == "..") return EBUSY;
  if (int e = new_name(to_name)) return e;
  if (int e = may_take_from(from)) return e;
  if (int e = may_add_to(to)) return e;
  auto source = child(from, name), there = child(to, to_name);
  if (!source) return ENOENT;
  if (there && (flags & kNoReplace)) return EEXIST;
  if (!there && swap) return ENOENT;
  if (there == source) return 0;
  bool moves_dir = node(*source).kind == Kind::directory, hits_dir = there && node(*there).kind == Kind::directory;
  if (node(*source).flags) return EPERM;
  if (there && !swap && moves_dir && !hits_dir) return ENOTDIR;
  if (there && !swap && !moves_dir && hits_dir) return EISDIR;
  if (there && node(*there).flags) return EPERM;
  if (moves_dir && below(to, *source)) return EINVAL;
  if (swap && hits_dir && below(from, *there)) return EINVAL;
  if (!swap && hits_dir && !node(*there).names.empty()) return ENOTEMPTY;

  at(from).names.erase(name);
  if (there && !swap) {
    lose_name(client, to, to_name, *there);
    if (hits_dir) --at(to).links;
  }
  at(to).names[to_name] = *source;
  at(*source).ctime = now_;
  if (moves_dir) at(*source).above = to, --at(from).links, ++at(to).links;
  if (swap) {
    at(from).names[name] = *there;
    at(*there).ctime = now_;
    if (hits_dir) at(*there).above = from, --at(to).links, ++at(from).links;
  }
  if (flags & kWhiteout) {
    Node white;
    white.kind = Kind::char_device;
    white.links = 1;
    if (node(from).mode & 02000) white.gid = node(from).gid;
    at(from).names[name] = add(white);
  }
  touch(from);
  touch(to);
  return 0;
}

}  // namespace kiseki::model
