#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace fastort {

// Where the raw data of a top-level initializer lies in the model's bytes.
struct Payload {
  size_t initializer;  // index among ModelProto.graph.initializer
  size_t offset;
  size_t bytes;
};

struct StrippedModel {
  std::string proto;  // the ModelProto without the payloads
  std::vector<Payload> payloads;
};

// Takes `raw_data` of at least `min_bytes` out of the initializers of a serialized ModelProto, so that parsing does not
// copy them. Throws InvalidProtobuf where a length leaves the bytes.
StrippedModel strip_payloads(std::span<const std::byte> model, size_t min_bytes = 4096);

}  // namespace fastort
