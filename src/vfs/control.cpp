#include "vfs/control.hpp"

#include <boost/json.hpp>
#include <cstring>

#include "chunk/block_key.hpp"
#include "chunk/chunk_view.hpp"
#include "core/big_endian.hpp"
#include "meta/client.hpp"
#include "meta/ops.hpp"

namespace kiseki::vfs {

namespace json = boost::json;

bool control_complete(std::string_view request) {
  BigEndianReader in(request);
  in.u32();
  auto length = in.u32();
  return in.ok() && in.left() >= length;
}

std::string control_status(int error) { return std::string(1, static_cast<char>(error)); }

std::string control_data(std::string_view text) {
  std::string out;
  BigEndianWriter(out).u8(0xFF).u32(static_cast<std::uint32_t>(text.size())).bytes(text);
  return out;
}

namespace {

void add_hole(json::array& out, ChunkIndex index, std::uint32_t len) {
  out.push_back({{"ChunkIndex", index.value}, {"Key", ""}, {"Size", 0}, {"Off", 0}, {"Len", len}});
}

// Where the bytes of one chunk lie: what its list shows, cut into blocks; a gap before a piece is a row without a key.
void add_objects(json::array& out, const meta::Format& format, ChunkIndex index, const Slices& slices) {
  chunk::BlockLayout layout{.block_bytes = static_cast<std::uint32_t>(format.block_bytes()),
                            .hash_prefix = format.hash_prefix};
  auto view = chunk::ChunkView::of(slices);
  std::uint32_t at = 0;
  for (const Slice& piece : view.pieces()) {
    if (piece.pos > at) add_hole(out, index, piece.pos - at);
    at = piece.pos + piece.len;
    for (std::uint32_t off = piece.off, end = piece.off + piece.len; off < end;) {
      std::uint32_t number = off / layout.block_bytes, begin = number * layout.block_bytes;
      std::uint32_t size = layout.length_of(piece.size, number), until = std::min(end, begin + size);
      auto key = chunk::block_key(layout, {piece.id, number}, size);
      out.push_back({{"ChunkIndex", index.value},
                     {"Key", format.name + "/" + key},
                     {"Size", size},
                     {"Off", off - begin},
                     {"Len", until - off}});
      off = until;
    }
  }
}

Async<void> add_contents(meta::Client& client, InfoRequest request, json::object& out) {
  CO_TRY(auto attr, co_await meta::getattr(client, request.ino));
  CO_TRY(auto chunks, co_await client.engine().scan_chunks(request.ino, attr.length));
  auto format = client.format();
  json::array objects, raw;
  for (auto& stored : chunks) {
    if (!request.raw) add_objects(objects, *format, stored.index, stored.slices);
    for (auto& slice : stored.slices)
      if (request.raw)
        raw.push_back({{"ChunkIndex", stored.index.value},
                       {"Id", slice.id.value},
                       {"Size", slice.size},
                       {"Off", slice.off},
                       {"Len", slice.len}});
  }
  out[request.raw ? "Chunks" : "Objects"] = request.raw ? std::move(raw) : std::move(objects);
  co_return Result<void>{};
}

Async<void> add_locks(meta::Client& client, Ino ino, json::object& out) {
  meta::Keys keys{meta::FileLocksKey{ino}, meta::RangeLocksKey{ino}};
  CO_TRY(auto records, co_await client.engine().fetch(std::move(keys)));
  json::array flocks, plocks;
  for (auto& lock : std::get<meta::FileLocks>(records[0]))
    flocks.push_back({{"Sid", lock.sid.value}, {"Owner", lock.owner}, {"Type", lock.exclusive ? "W" : "R"}});
  for (auto& table : std::get<meta::RangeLockTable>(records[1]))
    for (auto& range : table.ranges)
      plocks.push_back({{"Sid", table.sid.value},
                        {"Owner", table.owner},
                        {"Type", range.type == 0 ? "R" : "W"},
                        {"Pid", range.pid},
                        {"Start", range.start},
                        {"End", range.end}});
  out["FLocks"] = std::move(flocks);
  out["PLocks"] = std::move(plocks);
  co_return Result<void>{};
}

Async<void> fill_info(meta::Client& client, InfoRequest request, json::object& out) {
  CO_TRY(auto attr, co_await meta::getattr(client, request.ino));
  CO_TRY(auto sums, co_await meta::summarize(client, request.ino, request.recursive, request.strict));
  CO_TRY(auto paths, co_await meta::paths_of(client, request.ino));
  out["Summary"] =
      json::object{{"Length", sums.length}, {"Size", sums.space}, {"Files", sums.files}, {"Dirs", sums.dirs}};
  out["Paths"] = json::value_from(paths);
  if (attr.is_file()) CO_CHECK(co_await add_contents(client, request, out));
  CO_CHECK(co_await add_locks(client, request.ino, out));
  const auto* objects = out["Objects"].if_array();
  bool stored = objects != nullptr && !objects->empty();
  out["Tier"] = json::object{
      {"ID", attr.tier}, {"StorageClass", stored ? "actual()" : ""}, {"Tag", ""}};  // the store has no classes
  co_return Result<void>{};
}

}  // namespace

Async<std::string> info_json(meta::Client& client, InfoRequest request) {
  json::object out{{"Ino", request.ino.value}, {"Failed", false}, {"Reason", ""}};
  for (auto key : {"Summary", "Paths", "Chunks", "Objects", "PLocks", "FLocks"}) out[key] = nullptr;
  if (auto filled = co_await fill_info(client, request, out); !filled) {
    out["Failed"] = true;
    out["Reason"] = std::string(std::strerror(to_errno(filled.error())));
  }
  co_return json::serialize(out);
}

}  // namespace kiseki::vfs
