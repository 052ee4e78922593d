#include "decode_fuzz.hpp"

#include <cstring>
#include <string_view>
#include <type_traits>

#include "fuse/decode.hpp"

namespace {

using namespace kiseki::fuse;

volatile std::uint64_t g_sum;  // keeps the reads from being optimised away

void touch(std::string_view text) {
  for (char c : text) g_sum = g_sum + static_cast<unsigned char>(c);
}
void touch(std::span<const std::byte> bytes) {
  for (auto b : bytes) g_sum = g_sum + static_cast<std::uint64_t>(b);
}

struct Toucher {
  template <class Request>
  void operator()(const Request& request) const {
    if constexpr (requires { request.name; }) touch(std::string_view(request.name));
    if constexpr (requires { request.new_name; }) touch(std::string_view(request.new_name));
    if constexpr (requires { request.target; }) touch(std::string_view(request.target));
    if constexpr (requires { request.value; }) touch(std::string_view(request.value));
    if constexpr (std::is_same_v<Request, Write>) touch(request.data);
    if constexpr (std::is_same_v<Request, Ioctl>) touch(request.in);
    if constexpr (std::is_same_v<Request, BatchForget>) {
      for (std::uint32_t i = 0; i < request.count; ++i) g_sum = g_sum + request.at(i).lookups;
    }
  }
};

void decode_and_touch(const RawRequest& request) {
  for (bool wide : {false, true}) {
    if (auto body = decode(request, {.setxattr_ext = wide})) std::visit(Toucher{}, *body);
  }
}

}  // namespace

void fuzz_decode(std::span<const std::byte> input) {
  if (auto request = frame(input)) decode_and_touch(*request);
  // The same bytes with an honest length, and as the ring would deliver them.
  RawRequest request;
  if (input.size() < sizeof request.header) return;
  std::memcpy(&request.header, input.data(), sizeof request.header);
  request.args = input.subspan(sizeof request.header);
  decode_and_touch(request);
  request.split = true;
  auto border = std::min<std::size_t>(request.header.padding % 130, request.args.size());
  request.rest = request.args.subspan(border);
  request.args = request.args.first(border);
  decode_and_touch(request);
}

#ifdef KISEKI_LIBFUZZER
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz_decode(std::as_bytes(std::span(data, size)));
  return 0;
}
#endif
