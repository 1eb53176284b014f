#include "runtime/pack_store.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <vector>

#include "tensor/tensor.h"

namespace fastort {
namespace {

// Packs by copying, and counts how often.
std::shared_ptr<Buffer> pack(SharedPackStore& store, const Tensor& weight, int& fills) {
  return store.get(weight, "copy", weight.bytes(), [&](std::byte* dst) {
    ++fills;
    std::copy_n(weight.raw(), weight.bytes(), dst);
  });
}

TEST_CASE("Packed weights of equal contents are held once") {
  SharedPackStore store;
  int fills = 0;
  const std::array<float, 3> items{1, 2, 3};
  const Tensor first = Tensor::vector<float>(items);
  const Tensor second = Tensor::vector<float>(items);
  auto packed = pack(store, first, fills);
  CHECK(pack(store, first, fills) == packed);
  CHECK(pack(store, second, fills) == packed);
  CHECK(pack(store, first.reshaped(Shape{3, 1}), fills) != packed);
  CHECK(fills == 2);
  CHECK(store.bytes() == 12);
  packed.reset();
  CHECK(store.bytes() == 0);
  pack(store, first, fills);
  CHECK(fills == 3);
}

TEST_CASE("Packed weights know another constant at an address that was used before") {
  SharedPackStore store;
  int fills = 0;
  std::vector<float> memory{1, 2, 3};
  const auto at_same_address = [&] {
    return Tensor(DataType::Float, Shape{3}, Buffer::wrap(memory.data(), 3 * sizeof(float), [] {}));
  };
  const auto packed = pack(store, at_same_address(), fills);
  memory[1] = 5;
  const auto other = pack(store, at_same_address(), fills);
  CHECK(other != packed);
  CHECK(reinterpret_cast<const float*>(other->data())[1] == 5);
  CHECK(reinterpret_cast<const float*>(packed->data())[1] == 2);
}

}  // namespace
}  // namespace fastort
