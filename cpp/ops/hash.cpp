// com.microsoft's MurmurHash3: the 32-bit hash of each item's bytes.
#include <bit>
#include <cstring>
#include <string>

#include "ops/op.h"

namespace fastort {
namespace {

void infer_murmur_hash(InferContext& context) {
  const DataType type = context.attributes().get_int("positive", 1) != 0 ? DataType::UInt32 : DataType::Int32;
  context.has_shape(0) ? context.out(0, type, context.shape(0)) : context.out(0, type);
}

uint32_t scramble(uint32_t word) { return std::rotl(word * 0xcc9e2d51u, 15) * 0x1b873593u; }

// MurmurHash3_x86_32, whose words are little-endian.
uint32_t murmur_hash(const unsigned char* bytes, size_t count, uint32_t seed) {
  uint32_t hash = seed;
  const size_t whole = count / 4 * 4;
  for (size_t i = 0; i < whole; i += 4) {
    uint32_t word;
    std::memcpy(&word, bytes + i, 4);
    hash = std::rotl(hash ^ scramble(word), 13) * 5 + 0xe6546b64u;
  }
  uint32_t rest = 0;
  for (size_t i = count; i-- > whole;) rest = rest << 8 | bytes[i];
  if (count != whole) hash ^= scramble(rest);
  hash ^= static_cast<uint32_t>(count);
  hash = (hash ^ hash >> 16) * 0x85ebca6bu;
  hash = (hash ^ hash >> 13) * 0xc2b2ae35u;
  return hash ^ hash >> 16;
}

std::unique_ptr<Kernel> prepare_murmur_hash(const OpContext& context) {
  const auto seed = static_cast<uint32_t>(context.attributes().get_int("seed", 0));
  const int64_t count = context.shape(0).count();
  const bool strings = context.type(0) == DataType::String;
  const size_t size = element_size(context.type(0));
  return make_kernel([=](const KernelArgs& args) {
    args.parallel.range(count, 4096, [&](int64_t begin, int64_t end) {
      uint32_t* dst = args.out<uint32_t>(0);
      for (int64_t i = begin; i < end; ++i) {
        if (strings) {
          const std::string& item = args.in<std::string>(0)[i];
          dst[i] = murmur_hash(reinterpret_cast<const unsigned char*>(item.data()), item.size(), seed);
        } else {
          dst[i] = murmur_hash(args.in<unsigned char>(0) + static_cast<size_t>(i) * size, size, seed);
        }
      }
    });
  });
}

constexpr Candidate kMurmurHash[] = {{"bytes", nullptr, prepare_murmur_hash}};
constexpr TypeMask kHashed{DataType::UInt32, DataType::Int32,  DataType::UInt64, DataType::Int64,
                           DataType::Float,  DataType::Double, DataType::String};

constexpr OpDef kOps[] = {
    {"com.microsoft", "MurmurHash3", infer_murmur_hash, kMurmurHash, kHashed},
};

}  // namespace

std::span<const OpDef> hash_ops() { return kOps; }

}  // namespace fastort
