#include "oracle.hpp"

#include <algorithm>
#include <cerrno>

namespace kiseki::model {

namespace {
constexpr unsigned kImmutable = 1, kAppend = 2;
}

Oracle::Oracle(bool trash, Time now) : trash_(trash), now_(now) {
  Node root;
  root.kind = Kind::directory;
  root.mode = 0777;
  root.links = 2;
  root.length = 4096;
  root.atime = root.mtime = root.ctime = now;
  root.above = 0;
  nodes_.push_back(root);
}

std::optional<int> Oracle::child(int dir, const std::string& name) const {
  auto it = node(dir).names.find(name);
  return it == node(dir).names.end() ? std::nullopt : std::optional(it->second);
}

int Oracle::add(Node node) {
  node.atime = node.mtime = node.ctime = now_;
  nodes_.push_back(std::move(node));
  return size() - 1;
}

void Oracle::touch(int dir) { at(dir).mtime = at(dir).ctime = now_; }

int Oracle::may_add_to(int parent) const {
  auto& p = node(parent);
  if (!p.alive) return ENOENT;
  if (p.kind != Kind::directory) return ENOTDIR;
  if (p.in_trash) return ENOENT;
  return p.flags & kImmutable ? EPERM : 0;
}

int Oracle::may_take_from(int parent) const {
  auto& p = node(parent);
  if (!p.alive) return ENOENT;
  if (p.kind != Kind::directory) return ENOTDIR;
  return p.flags & (kImmutable | kAppend) ? EPERM : 0;
}

int Oracle::new_name(const std::string& name) const {
  if (name.size() > 255) return ENAMETOOLONG;
  if (name.empty() || name.find('/') != name.npos) return EINVAL;
  return name == "." || name == ".." ? EEXIST : 0;
}

int Oracle::make(int, int parent, const std::string& name, Kind kind, unsigned mode, unsigned uid, unsigned gid,
                 const std::string& target) {
  if (int e = new_name(name)) return e;
  if (int e = may_add_to(parent)) return e;
  if (child(parent, name)) return EEXIST;
  Node n;
  n.kind = kind;
  n.mode = mode;
  n.uid = uid;
  n.gid = gid;
  bool inherit_group = node(parent).mode & 02000;
  if (inherit_group) n.gid = node(parent).gid;
  if (inherit_group && kind == Kind::directory) n.mode |= 02000;
  n.links = kind == Kind::directory ? 2 : 1;
  n.length = kind == Kind::directory ? 4096 : kind == Kind::symlink ? target.size() : 0;
  n.target = target;
  n.above = parent;
  int made = add(std::move(n));
  at(parent).names[name] = made;
  if (kind == Kind::directory) ++at(parent).links;
  touch(parent);
  return 0;
}

int Oracle::make_nameless(int client, int parent, unsigned mode) {
  if (int e = may_add_to(parent)) return e;
  Node n;
  n.mode = mode;
  if (node(parent).mode & 02000) n.gid = node(parent).gid;
  n.kept_by = client;
  int made = add(std::move(n));
  open(client, made);
  return 0;
}

int Oracle::link(int client, int n, int parent, const std::string& name) {
  if (int e = new_name(name)) return e;
  if (int e = may_add_to(parent)) return e;
  auto& f = at(n);
  if (!f.alive) return ENOENT;
  if (f.kind == Kind::directory) return EPERM;
  if (f.flags) return EPERM;
  if (child(parent, name)) return EEXIST;
  if (f.links == 0 && !is_open(client, n)) return ENOENT;
  if (f.links == 0) {
    f.many_names = false;
    if (f.kept_by == client) f.kept_by = -1;
  } else {
    f.many_names = true;
  }
  f.in_trash = false;
  ++f.links;
  f.ctime = now_;
  at(parent).names[name] = n;
  touch(parent);
  return 0;
}

void Oracle::lose_name(int client, int parent, const std::string& name, int n) {
  auto& f = at(n);
  auto trash_name = std::to_string(parent) + "-" + std::to_string(n) + "-" + name;
  f.ctime = now_;
  if (trash_ && !(f.links > 1 && f.kind != Kind::directory && trash_names_.contains(trash_name))) {
    trash_names_.insert(trash_name);
    if (!f.many_names) f.in_trash = true;
    return;
  }
  if (f.kind == Kind::directory) {
    f.alive = false;
    return;
  }
  if (--f.links > 0) return;
  if (f.kind == Kind::file && is_open(client, n)) {
    f.kept_by = client;
    f.xattrs.clear();
    return;
  }
  f.alive = false;
}

int Oracle::unlink(int client, int parent, const std::string& name) {
  if (name.size() > 255) return ENAMETOOLONG;
  if (int e = may_take_from(parent)) return e;
  auto n = child(parent, name);
  if (!n) return ENOENT;
  if (node(*n).kind == Kind::directory) return EISDIR;
  if (node(*n).flags) return EPERM;
  at(parent).names.erase(name);
  lose_name(client, parent, name, *n);
  touch(parent);
  return 0;
}

int Oracle::rmdir(int parent, const std::string& name) {
  if (name.size() > 255) return ENAMETOOLONG;
  if (name == ".") return EINVAL;
  if (int e = may_take_from(parent)) return e;
  auto n = child(parent, name);
  if (!n) return ENOENT;
  if (node(*n).kind != Kind::directory) return ENOTDIR;
  if (node(*n).flags) return EPERM;
  if (!node(*n).names.empty()) return ENOTEMPTY;
  at(parent).names.erase(name);
  lose_name(-1, parent, name, *n);
  --at(parent).links;
  touch(parent);
  return 0;
}

bool Oracle::close(int client, int n) {
  open_.erase({client, n});
  auto& f = at(n);
  if (f.kept_by != client) return false;
  f.kept_by = -1;
  if (f.links == 0) f.alive = false;
  return true;
}

// ---- attributes ---------------------------------------------------------------------------------------------------

int Oracle::may_set(int n, bool explicit_change) const {
  auto& f = node(n);
  if (!f.alive) return ENOENT;
  if (f.in_trash) return EPERM;
  return explicit_change && f.flags ? EPERM : 0;
}

int Oracle::chmod(int n, unsigned mode) {
  if (int e = may_set(n, true)) return e;
  at(n).mode = mode;
  at(n).ctime = now_;
  return 0;
}

int Oracle::chown(int n, unsigned uid, unsigned gid) {
  if (int e = may_set(n, true)) return e;
  auto& f = at(n);
  f.uid = uid;
  f.gid = gid;
  if (f.kind != Kind::directory) {
    if (f.mode & 010) f.mode &= ~02000u;
    f.mode &= ~04000u;
  }
  f.ctime = now_;
  return 0;
}

int Oracle::utimes(int n, Time atime, Time mtime) {
  if (int e = may_set(n, true)) return e;
  at(n).atime = atime;
  at(n).mtime = mtime;
  at(n).ctime = now_;
  return 0;
}

int Oracle::chattr(int n, unsigned flags) {
  if (int e = may_set(n, false)) return e;
  at(n).flags = flags;
  at(n).ctime = now_;
  return 0;
}

int Oracle::truncate(int n, std::uint64_t length) {
  auto& f = at(n);
  if (!f.alive) return ENOENT;
  if (f.kind == Kind::directory) return EISDIR;
  if (f.kind != Kind::file) return EINVAL;
  if (f.flags) return EPERM;
  f.content.cut(std::min(length, f.length));
  f.length = length;
  f.mtime = f.ctime = now_;
  return 0;
}

int Oracle::fallocate(int n, unsigned mode, std::uint64_t offset, std::uint64_t length) {
  constexpr unsigned kKeep = 1, kPunch = 2, kZero = 16;
  if (length == 0) return EINVAL;
  if (mode & ~(kKeep | kPunch | kZero)) return EOPNOTSUPP;
  if ((mode & kPunch) && !(mode & kKeep)) return EOPNOTSUPP;
  if ((mode & kPunch) && (mode & kZero)) return EOPNOTSUPP;
  auto& f = at(n);
  if (!f.alive) return ENOENT;
  if (f.kind == Kind::directory) return EISDIR;
  if (f.kind != Kind::file) return EINVAL;
  if (f.flags & kImmutable) return EPERM;
  if ((f.flags & kAppend) && (mode & ~kKeep)) return EPERM;
  if (mode & (kPunch | kZero)) f.content.zero(offset, std::min(offset + length, f.length));
  if (!(mode & kKeep)) f.length = std::max(f.length, offset + length);
  f.mtime = f.ctime = now_;
  return 0;
}

int Oracle::write(int n, std::uint64_t offset, std::uint64_t length, std::uint64_t slice) {
  auto& f = at(n);
  if (!f.alive) return ENOENT;
  if (f.kind != Kind::file) return EINVAL;
  f.content.paint(offset, offset + length, slice, 0);
  f.length = std::max(f.length, offset + length);
  f.mtime = f.ctime = now_;
  return 0;
}

int Oracle::copy(int in, std::uint64_t in_offset, int out, std::uint64_t out_offset, std::uint64_t length) {
  if (in == out && in_offset < out_offset + length && out_offset < in_offset + length) return EINVAL;
  for (int n : {in, out}) {
    auto& f = node(n);
    if (!f.alive) return ENOENT;
    if (f.kind == Kind::directory) return EISDIR;
    if (f.kind != Kind::file) return EINVAL;
  }
  if (node(out).flags) return EPERM;
  if (in_offset >= node(in).length || length == 0) return 0;
  length = std::min(length, node(in).length - in_offset);
  auto source = node(in).content;
  at(out).content.copy(source, in_offset, length, out_offset);
  at(out).length = std::max(at(out).length, out_offset + length);
  at(out).mtime = at(out).ctime = now_;
  return 0;
}

int Oracle::set_xattr(int n, const std::string& name, const std::string& value, unsigned flags) {
  if (flags == 3) return EINVAL;
  auto& f = at(n);
  if (!f.alive) return ENOENT;
  if (f.flags) return EPERM;
  if (flags == 1 && f.xattrs.contains(name)) return EEXIST;
  if (flags == 2 && !f.xattrs.contains(name)) return ENODATA;
  f.xattrs[name] = value;
  f.ctime = now_;
  return 0;
}

int Oracle::get_xattr(int n, const std::string& name, std::string& value) const {
  if (!node(n).alive) return ENOENT;
  auto it = node(n).xattrs.find(name);
  if (it == node(n).xattrs.end()) return ENODATA;
  value = it->second;
  return 0;
}

int Oracle::remove_xattr(int n, const std::string& name) {
  auto& f = at(n);
  if (!f.alive) return ENOENT;
  if (f.flags) return EPERM;
  if (f.xattrs.erase(name) == 0) return ENODATA;
  f.ctime = now_;
  return 0;
}

int Oracle::readlink(int n, std::string& target) const {
  if (!node(n).alive) return ENOENT;
  if (node(n).kind != Kind::symlink) return EINVAL;
  target = node(n).target;
  return 0;
}

}  // namespace kiseki::model
