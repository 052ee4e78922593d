// Codecs by themselves: bytes other programs made, and bytes nobody should have made.
#include "object/codec/codec.hpp"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <random>
#include <string>
#include <vector>

#include "codec_vectors.hpp"
#include "object/codec/codec_error.hpp"

namespace kiseki::object {
namespace {

using Bytes = std::vector<std::byte>;

Bytes from_hex(std::string_view hex) {
  Bytes out;
  for (std::size_t i = 0; i < hex.size(); i += 2)
    out.push_back(static_cast<std::byte>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return out;
}

Bytes bytes_of(std::string_view text) {
  auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

Bytes noise(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  Bytes out(size);
  for (auto& byte : out) byte = static_cast<std::byte>(random());
  return out;
}

/// Half noise, half repetition: compresses, but not to nothing.
Bytes mixed(std::size_t size, unsigned seed) {
  auto out = noise(size, seed);
  for (std::size_t i = size / 2; i < size; ++i) out[i] = static_cast<std::byte>(i / 100);
  return out;
}

Bytes compressed(Compression how, std::span<const std::byte> plain) {
  Bytes out(compressed_most(how, plain.size()));
  auto used = compress(how, plain, out);
  EXPECT_TRUE(used);
  out.resize(used ? *used : 0);
  return out;
}

TEST(Compression, IsTheOneOfTheContract) {
  EXPECT_EQ(compression_named(""), Compression::none);
  EXPECT_EQ(compression_named("none"), Compression::none);
  EXPECT_EQ(compression_named("lz4"), Compression::lz4);
  EXPECT_EQ(compression_named("zstd"), Compression::zstd);
  EXPECT_FALSE(compression_named("gzip"));
  std::string repeated;
  for (int i = 0; i < 32; ++i) repeated += "ab";
  EXPECT_EQ(compressed(Compression::lz4, bytes_of("a")), from_hex(vectors::kLz4OfA));
  EXPECT_EQ(compressed(Compression::lz4, bytes_of(repeated)), from_hex(vectors::kLz4Of32Ab));
  EXPECT_EQ(compressed(Compression::zstd, bytes_of("a")), from_hex(vectors::kZstdOfA));
  EXPECT_EQ(compressed(Compression::zstd, bytes_of(repeated)), from_hex(vectors::kZstdOf32Ab));
}

TEST(Compression, StoresWhatDoesNotCompressToo) {
  auto block = noise(65536, 1);
  EXPECT_EQ(compressed(Compression::lz4, block).size(), 65794u);
  EXPECT_EQ(compressed(Compression::zstd, block).size(), 65546u);
  EXPECT_EQ(compressed_most(Compression::lz4, 4u << 20), (4u << 20) + (4u << 20) / 255 + 16);
  EXPECT_EQ(compressed_most(Compression::zstd, 65536), 65536u + 256 + 32);
}

TEST(Compression, GivesBackEveryLength) {
  for (auto how : {Compression::none, Compression::lz4, Compression::zstd}) {
    for (std::size_t size : {1u, 2u, 63u, 4096u, 65535u, 65536u, 262145u, 4u << 20}) {
      auto block = mixed(size, static_cast<unsigned>(size));
      Bytes back(size);
      ASSERT_TRUE(decompress(how, compressed(how, block), back)) << size;
      EXPECT_TRUE(back == block) << size;
    }
  }
}

TEST(Compression, RefusesWhatIsNotExactlyTheBlock) {
  for (auto how : {Compression::lz4, Compression::zstd}) {
    auto stored = compressed(how, mixed(10'000, 3));
    Bytes shorter(9'999), longer(10'001), none(1);
    EXPECT_FALSE(decompress(how, stored, shorter));
    EXPECT_FALSE(decompress(how, stored, longer));
    EXPECT_EQ(decompress(how, {}, none).error(), make_error_code(CodecErrc::truncated));
  }
  Bytes one(1), two(2);
  EXPECT_TRUE(decompress(Compression::zstd, from_hex(vectors::kZstdOfA), one));
  EXPECT_FALSE(decompress(Compression::zstd, from_hex(vectors::kZstdWithoutSize), one));
  EXPECT_EQ(decompress(Compression::none, one, two).error(), make_error_code(CodecErrc::wrong_length));
}

/// Never a crash, never a byte beyond the block: what lies behind it keeps its value.
TEST(Compression, SurvivesDamage) {
  std::mt19937 random(20'261);
  for (auto how : {Compression::lz4, Compression::zstd}) {
    auto stored = compressed(how, mixed(20'000, 4));
    for (int round = 0; round < 3000; ++round) {
      auto damaged = stored;
      damaged.resize(1 + random() % damaged.size());
      for (auto flips = random() % 4; flips > 0; --flips)
        damaged[random() % damaged.size()] = static_cast<std::byte>(random());
      Bytes room(20'000 + 64, std::byte{0x5A});
      (void)decompress(how, damaged, std::span(room).first(20'000));
      for (std::size_t i = 20'000; i < room.size(); ++i) ASSERT_EQ(room[i], std::byte{0x5A});
    }
  }
}

std::shared_ptr<const Envelope> envelope(std::string_view algorithm = "aes256gcm-rsa") {
  auto opened = Envelope::open(vectors::kKeyPem, "", algorithm);
  EXPECT_TRUE(opened.envelope) << opened.error;
  return opened.envelope;
}

Bytes sealed(const Envelope& envelope, std::span<const std::byte> plain) {
  Bytes frame(plain.size() + envelope.overhead_bytes());
  std::ranges::copy(plain, frame.begin() + static_cast<std::ptrdiff_t>(envelope.header_bytes()));
  EXPECT_TRUE(envelope.seal(frame));
  return frame;
}

TEST(Envelope, OpensWhatOtherCodeSealed) {
  for (auto [algorithm, object] :
       {std::pair("aes256gcm-rsa", vectors::kAesObject), std::pair("chacha20-rsa", vectors::kChachaObject)}) {
    auto stored = from_hex(object);
    Bytes into(64);
    auto plain = envelope(algorithm)->unseal(stored, into);
    ASSERT_TRUE(plain) << algorithm;
    EXPECT_EQ(Bytes(plain->begin(), plain->end()), bytes_of(vectors::kText));
    EXPECT_EQ(plain->data(), into.data());
    auto again = from_hex(object);
    auto in_place = envelope(algorithm)->unseal(again, {});
    ASSERT_TRUE(in_place);
    EXPECT_EQ(Bytes(in_place->begin(), in_place->end()), bytes_of(vectors::kText));
  }
  auto of_the_other = from_hex(vectors::kAesObject);
  EXPECT_FALSE(envelope("chacha20-rsa")->unseal(of_the_other, {}));
}

TEST(Envelope, HasTheLayoutOfTheContract) {
  auto made = envelope();
  EXPECT_EQ(made->overhead_bytes(), 3u + 128 + 12 + 16);
  auto object = sealed(*made, bytes_of("hello")), other = sealed(*made, bytes_of("hello"));
  EXPECT_EQ(object.size(), 5 + made->overhead_bytes());
  EXPECT_EQ(Bytes(object.begin(), object.begin() + 3), from_hex("00800c"));
  EXPECT_NE(Bytes(object.begin() + 131, object.begin() + 143), Bytes(other.begin() + 131, other.begin() + 143))
      << "nonce";
  auto plain = made->unseal(object, {});
  ASSERT_TRUE(plain);
  EXPECT_EQ(Bytes(plain->begin(), plain->end()), bytes_of("hello"));
  auto empty = sealed(*made, {});
  auto nothing = made->unseal(empty, {});
  ASSERT_TRUE(nothing);
  EXPECT_TRUE(nothing->empty());
}

TEST(Envelope, AnyChangeShows) {
  for (auto algorithm : {"aes256gcm-rsa", "chacha20-rsa"}) {
    auto made = envelope(algorithm);
    auto object = sealed(*made, noise(100, 5));
    for (std::size_t at = 0; at < object.size(); at += 1 + at / 40) {
      auto changed = object;
      changed[at] ^= std::byte{0x10};
      auto opened = made->unseal(changed, {});
      ASSERT_FALSE(opened) << at;
      EXPECT_EQ(to_errno(opened.error()), EIO);
    }
    for (std::size_t size = 0; size < object.size(); size += 7) {
      Bytes cut(object.begin(), object.begin() + static_cast<std::ptrdiff_t>(size));
      EXPECT_FALSE(made->unseal(cut, {})) << size;
    }
    auto longer = object;
    longer.push_back(std::byte{0});
    EXPECT_EQ(made->unseal(longer, {}).error(), make_error_code(CodecErrc::tampered));
  }
}

/// The key of the vectors in another clothing.
std::string rewritten(bool traditional, const EVP_CIPHER* cipher, std::string_view passphrase) {
  BIO* in = BIO_new_mem_buf(vectors::kKeyPem.data(), static_cast<int>(vectors::kKeyPem.size()));
  EVP_PKEY* key = PEM_read_bio_PrivateKey(in, nullptr, nullptr, nullptr);
  BIO* out = BIO_new(BIO_s_mem());
  auto* write = traditional ? PEM_write_bio_PrivateKey_traditional : PEM_write_bio_PrivateKey;
  auto* phrase = reinterpret_cast<const unsigned char*>(passphrase.data());
  write(out, key, cipher, cipher ? phrase : nullptr, static_cast<int>(passphrase.size()), nullptr, nullptr);
  char* data = nullptr;
  auto size = BIO_get_mem_data(out, &data);
  std::string text(data, static_cast<std::size_t>(size));
  BIO_free(in), BIO_free(out), EVP_PKEY_free(key);
  return text;
}

TEST(Envelope, TakesEveryFormOfKey) {
  for (bool traditional : {true, false}) {
    for (const EVP_CIPHER* cipher : {static_cast<const EVP_CIPHER*>(nullptr), EVP_aes_256_cbc()}) {
      auto pem = rewritten(traditional, cipher, "open sesame");
      auto opened = Envelope::open(pem, "open sesame", "");
      ASSERT_TRUE(opened.envelope) << pem << opened.error;
      auto stored = from_hex(vectors::kAesObject);
      EXPECT_TRUE(opened.envelope->unseal(stored, {}));
      if (!cipher) continue;
      EXPECT_NE(Envelope::open(pem, "", "").error.find("set JFS_RSA_PASSPHRASE"), std::string::npos);
      EXPECT_NE(Envelope::open(pem, "abracadabra", "").error.find("does not open"), std::string::npos);
    }
  }
  EXPECT_NE(Envelope::open("no key", "", "").error.find("not an RSA private key"), std::string::npos);
  EXPECT_NE(Envelope::open(vectors::kKeyPem, "", "rot13").error.find("aes256gcm-rsa"), std::string::npos);
}

TEST(Envelope, RefusesObjectsForAnotherKey) {
  EVP_PKEY* other = EVP_RSA_gen(1024);
  BIO* out = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(out, other, nullptr, nullptr, 0, nullptr, nullptr);
  char* data = nullptr;
  auto size = BIO_get_mem_data(out, &data);
  auto opened = Envelope::open({data, static_cast<std::size_t>(size)}, "", "");
  BIO_free(out), EVP_PKEY_free(other);
  ASSERT_TRUE(opened.envelope);
  auto stored = from_hex(vectors::kAesObject);
  EXPECT_EQ(opened.envelope->unseal(stored, {}).error(), make_error_code(CodecErrc::wrong_key));
}

TEST(Codec, CompressesThenEncrypts) {
  for (auto how : {Compression::none, Compression::lz4, Compression::zstd}) {
    for (bool encrypts : {false, true}) {
      Codec codec(how, encrypts ? envelope() : nullptr);
      auto block = mixed(100'000, 9);
      Body body;  // in three pieces, one of them empty
      body.pieces = {std::span(block).first(1000), {}, std::span(block).subspan(1000)};
      Bytes gather(block.size()), into(codec.stored_most(block.size()));
      auto stored = codec.encode(body, gather, into);
      ASSERT_TRUE(stored);
      if (how != Compression::none) EXPECT_LT(stored->size(), 60'000u);
      Bytes back(block.size());
      ASSERT_TRUE(codec.decode(*stored, back));
      EXPECT_TRUE(back == block);
    }
  }
}

}  // namespace
}  // namespace kiseki::object
