// Blocks to stored objects and back: compression and encryption of 4 MiB and 64 KiB, of words and of noise. Bytes are
// plain ones; the time of an envelope holds one RSA operation.
#include <benchmark/benchmark.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <random>
#include <string>
#include <vector>

#include "object/codec/codec.hpp"
#include "object/crc32c.hpp"

namespace kiseki::object {
namespace {

using Bytes = std::vector<std::byte>;

std::string new_key() {
  EVP_PKEY* key = EVP_RSA_gen(2048);
  BIO* out = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
  char* data = nullptr;
  auto size = BIO_get_mem_data(out, &data);
  std::string text(data, static_cast<std::size_t>(size));
  BIO_free(out), EVP_PKEY_free(key);
  return text;
}

Bytes noise(std::size_t size) {
  std::mt19937_64 random(1);
  Bytes out(size);
  for (auto& byte : out) byte = static_cast<std::byte>(random());
  return out;
}

/// Words of a small vocabulary in random order.
Bytes words(std::size_t size) {
  std::mt19937_64 random(2);
  std::vector<std::string> vocabulary;
  for (int i = 0; i < 2000; ++i) {
    std::string word;
    for (auto letters = 2 + random() % 8; letters > 0; --letters) word += static_cast<char>('a' + random() % 26);
    vocabulary.push_back(word + " ");
  }
  std::string text;
  while (text.size() < size) text += vocabulary[random() % vocabulary.size()];
  auto bytes = std::as_bytes(std::span(text)).first(size);
  return {bytes.begin(), bytes.end()};
}

Codec codec_of(Compression compression, const char* cipher) {
  static const auto pem = new_key();
  return {compression, *cipher ? Envelope::open(pem, "", cipher).envelope : nullptr};
}

using Content = Bytes (*)(std::size_t);

void encode_block(benchmark::State& state, Compression compression, const char* cipher, Content content) {
  auto codec = codec_of(compression, cipher);
  auto block = content(static_cast<std::size_t>(state.range(0)) << 10);
  Bytes stored(codec.stored_most(block.size()));
  Body body;
  body.pieces.push_back(block);
  std::size_t used = 0;
  for (auto _ : state) used = codec.encode(body, {}, stored)->size();
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(block.size()));
  state.counters["stored"] = static_cast<double>(used) / static_cast<double>(block.size());
}

void decode_block(benchmark::State& state, Compression compression, const char* cipher, Content content) {
  auto codec = codec_of(compression, cipher);
  auto block = content(static_cast<std::size_t>(state.range(0)) << 10);
  Bytes stored(codec.stored_most(block.size())), back(block.size());
  Body body;
  body.pieces.push_back(block);
  auto object = *codec.encode(body, {}, stored);
  // What is only encrypted is decrypted beside the object, so the object can be used again.
  for (auto _ : state)
    if (!codec.decode(object, back)) state.SkipWithError("does not decode");
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(block.size()));
}

#define BOTH_WAYS(name, ...)                                              \
  BENCHMARK_CAPTURE(encode_block, name, __VA_ARGS__)->Arg(4096)->Arg(64); \
  BENCHMARK_CAPTURE(decode_block, name, __VA_ARGS__)->Arg(4096)->Arg(64)
BOTH_WAYS(lz4_words, Compression::lz4, "", words);
BOTH_WAYS(lz4_noise, Compression::lz4, "", noise);
BOTH_WAYS(zstd_words, Compression::zstd, "", words);
BOTH_WAYS(zstd_noise, Compression::zstd, "", noise);
BOTH_WAYS(aes, Compression::none, "aes256gcm-rsa", noise);
BOTH_WAYS(chacha, Compression::none, "chacha20-rsa", noise);

void checksum(benchmark::State& state) {
  auto block = noise(static_cast<std::size_t>(state.range(0)) << 10);
  for (auto _ : state) benchmark::DoNotOptimize(crc32c(block));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(block.size()));
}
BENCHMARK(checksum)->Arg(4096)->Arg(64);

}  // namespace
}  // namespace kiseki::object
