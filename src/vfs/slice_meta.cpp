#include "vfs/slice_meta.hpp"

#include "meta/ops.hpp"

namespace kiseki::vfs {

namespace {

class ClientSliceMeta final : public SliceMeta {
 public:
  explicit ClientSliceMeta(meta::Client& client) : client_(client) {}

  Async<SliceId> new_slice_id() override { return client_.new_slice_id(); }
  Async<Slices> read_slices(Ino ino, ChunkIndex index) override { return meta::read_slices(client_, ino, index); }

  Async<Written> write_slices(Ino ino, std::vector<Placed> records, Timestamp mtime,
                              std::optional<meta::AttrOrder> with, meta::Placing placing) override {
    std::vector<meta::PlacedSlice> placed;
    placed.reserve(records.size());
    for (const auto& [index, slice] : records) placed.push_back({index, slice});
    CO_TRY(auto done, co_await meta::write_slices(client_, ino, std::move(placed), mtime, with, placing));
    Written written{{}, done.refused ? Result<Attr>(done.refused) : Result<Attr>(done.attr), done.moved};
    for (const auto& [index, now, added] : done.chunks) written.chunks.push_back({index, now, added});
    co_return written;
  }

  Async<void> compacted(Ino ino, ChunkIndex index, Slices seen, std::uint32_t first, std::uint32_t count,
                        meta::CompactedSlice with) override {
    return meta::compacted(client_, ino, index, std::move(seen), first, count, std::move(with));
  }

 private:
  meta::Client& client_;
};

}  // namespace

std::shared_ptr<SliceMeta> make_slice_meta(meta::Client& client) { return std::make_shared<ClientSliceMeta>(client); }

}  // namespace kiseki::vfs
