#include "meta/redis/attr_bytes.hpp"

#include "core/big_endian.hpp"

namespace kiseki::meta::redis {

std::string whole_attr(const Attr& attr) {
  std::string out;
  out.reserve(80);
  BigEndianWriter to(out);
  to.u8(attr.flags).u16(static_cast<std::uint16_t>(static_cast<unsigned>(attr.type) << 12 | (attr.mode & 07777u)));
  to.u32(attr.uid).u32(attr.gid);
  for (auto time : {attr.atime, attr.mtime, attr.ctime}) to.u64(static_cast<std::uint64_t>(time.sec)).u32(time.nsec);
  to.u32(attr.nlink).u64(attr.length).u32(attr.rdev).u64(attr.parent.value);
  to.u32(attr.access_acl).u32(attr.default_acl).u8(attr.tier);
  return out;
}

std::vector<ByteField> fields_of(const Attr& attr, std::uint32_t fields) {
  struct Place {
    std::uint32_t bits;
    int from, to;
  };
  constexpr int kTail = 72;
  static constexpr Place kPlaces[] = {
      {kFlags, 1, 1},    {kType | kMode, 2, 3}, {kUid, 4, 7},          {kGid, 8, 11},     {kAtime, 12, 23},
      {kMtime, 24, 35},  {kCtime, 36, 47},      {kNlink, 48, 51},      {kLength, 52, 59}, {kRdev, 60, 63},
      {kParent, 64, 71}, {kAccessAcl, 72, 75},  {kDefaultAcl, 76, 79}, {kTier, 80, 80},
  };
  std::vector<ByteField> ranges;
  auto whole = whole_attr(attr);
  for (auto& place : kPlaces) {
    if ((fields & place.bits) != place.bits) continue;
    if (!ranges.empty() && ranges.back().to + 1 == place.from && place.from != kTail)
      ranges.back().to = place.to;
    else
      ranges.push_back({place.from, place.to, {}});
  }
  for (auto& range : ranges)
    range.bytes =
        whole.substr(static_cast<std::size_t>(range.from - 1), static_cast<std::size_t>(range.to - range.from + 1));
  return ranges;
}

}  // namespace kiseki::meta::redis
