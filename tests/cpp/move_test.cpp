#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "kernels/move/index.h"
#include "kernels/move/pad.h"
#include "kernels/move/resize.h"
#include "kernels/move/segments.h"
#include "kernels/move/strided_copy.h"
#include "kernels/sample/sample.h"
#include "tensor/tensor.h"

namespace fastort::kernels {
namespace {

constexpr DataType kTypes[] = {DataType::UInt8, DataType::Int16,      DataType::Float,
                               DataType::Int64, DataType::Complex128, DataType::String};

class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}
  int64_t between(int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(engine_); }
  bool coin() { return between(0, 1) == 1; }
  DataType type() { return kTypes[between(0, 5)]; }
  Shape shape(int64_t most_rank, int64_t most_size) {
    Shape shape;
    for (int64_t left = between(0, most_rank); left > 0; --left) shape.push_back(between(0, most_size));
    return shape;
  }

 private:
  std::mt19937 engine_;
};

// Runs on one thread and on several.
template <class F>
void on_threads(Random& random, F&& f) {
  f(Parallel(ThreadPool::instance(), random.coin() ? 1 : 4));
}

// Elements that all differ as far as the type allows. Memory of exact size, so that a sanitizer sees what is outside.
Tensor numbered(DataType type, const Shape& shape) {
  Tensor tensor(type, shape);
  const size_t size = element_size(type);
  for (int64_t i = 0; i < tensor.count(); ++i) {
    if (type == DataType::String) {
      tensor.data<std::string>()[i] = "a string too long to be kept inside its object " + std::to_string(i);
    } else {
      std::fill_n(tensor.raw() + static_cast<size_t>(i) * size, size, static_cast<std::byte>(i));
      if (size > 1) tensor.raw()[static_cast<size_t>(i) * size] = static_cast<std::byte>(i >> 8);
    }
  }
  return tensor;
}

bool same_item(const Tensor& a, int64_t i, const Tensor& b, int64_t k) {
  if (a.type() == DataType::String) return a.data<std::string>()[i] == b.data<std::string>()[k];
  const size_t size = element_size(a.type());
  return std::equal(a.raw() + static_cast<size_t>(i) * size, a.raw() + static_cast<size_t>(i + 1) * size,
                    b.raw() + static_cast<size_t>(k) * size);
}

// Calls f(position, index) for every index of a shape in order.
template <class F>
void for_each_index(const Shape& shape, F&& f) {
  std::vector<int64_t> at(shape.size(), 0);
  for (int64_t i = 0; i < shape.count(); ++i) {
    f(i, at);
    for (int d = shape.rank() - 1; d >= 0; --d) {
      const auto dim = static_cast<size_t>(d);
      if (++at[dim] < shape[dim]) break;
      at[dim] = 0;
    }
  }
}

TEST_CASE("a strided copy transposes, cuts, turns and repeats") {
  Random random(1);
  for (int round = 0; round < 600; ++round) {
    const Shape src = random.shape(5, round % 10 == 0 ? 40 : 6);
    if (src.count() > 200000) continue;
    const Tensor from = numbered(random.type(), src);
    std::vector<int> perm(src.size());
    for (size_t i = 0; i < perm.size(); ++i) perm[i] = static_cast<int>(i);
    for (size_t i = perm.size(); i > 1; --i)
      std::swap(perm[i - 1], perm[random.between(0, static_cast<int64_t>(i) - 1)]);
    const Strides src_strides = strides_of(src);
    Shape dims;
    Strides strides;
    int64_t offset = 0;
    for (int axis : perm) {
      const auto dim = static_cast<size_t>(axis);
      int64_t first = 0, count = src[dim], step = 1;
      if (count > 0 && random.coin()) {
        step = random.coin() ? random.between(1, 3) : -random.between(1, 3);
        first = random.between(0, count - 1);
        count = step > 0 ? (count - first + step - 1) / step : first / -step + 1;
      } else if (count == 1) {
        count = random.between(0, 4);
        step = 0;
      }
      dims.push_back(count);
      strides.push_back(step * src_strides[dim]);
      offset += first * src_strides[dim];
    }
    Tensor to(from.type(), dims);
    const StridedCopy copy(from.type(), dims, strides, strides_of(dims), offset);
    on_threads(random, [&](const Parallel& parallel) { copy.run(from.raw(), to.raw(), parallel); });
    bool right = true;
    for_each_index(dims, [&](int64_t i, const std::vector<int64_t>& at) {
      int64_t place = offset;
      for (size_t d = 0; d < at.size(); ++d) place += at[d] * strides[d];
      right = right && same_item(to, i, from, place);
    });
    CHECK(right);
  }
}

TEST_CASE("parts are joined and split again") {
  Random random(2);
  for (int round = 0; round < 200; ++round) {
    const DataType type = random.type();
    const int64_t rows = random.between(0, 300);
    std::vector<int64_t> widths(static_cast<size_t>(random.between(1, 5)));
    int64_t width = 0;
    for (int64_t& part : widths) width += part = random.between(0, random.coin() ? 3 : 300);
    const Segments segments(type, rows, widths);
    const Tensor whole = numbered(type, Shape{rows, width});
    std::vector<Tensor> parts;
    std::vector<std::byte*> pointers;
    for (int64_t part : widths) {
      parts.emplace_back(type, Shape{rows, part});
      pointers.push_back(parts.back().raw());
    }
    Tensor joined(type, Shape{rows, width});
    on_threads(random, [&](const Parallel& parallel) {
      segments.split(whole.raw(), pointers.data(), parallel);
      segments.join(pointers.data(), joined.raw(), parallel);
    });
    bool right = true;
    for (int64_t i = 0; i < whole.count(); ++i) right = right && same_item(whole, i, joined, i);
    for (int64_t row = 0, start = 0; row < rows && !widths.empty(); ++row, start = 0) {
      for (size_t p = 0; p < widths.size(); start += widths[p++])
        for (int64_t i = 0; i < widths[p]; ++i)
          right = right && same_item(parts[p], row * widths[p] + i, whole, row * width + start + i);
    }
    CHECK(right);
  }
}

// The definition of a padded position, one step at a time; -1 for the constant.
int64_t padded_index(PadMode mode, int64_t at, int64_t size) {
  while (at < 0 || at >= size) {
    if (mode == PadMode::Constant) return -1;
    if (mode == PadMode::Edge) at = at < 0 ? 0 : size - 1;
    if (mode == PadMode::Wrap) at += at < 0 ? size : -size;
    if (mode == PadMode::Reflect) at = size == 1 ? 0 : at < 0 ? -at : 2 * (size - 1) - at;
  }
  return at;
}

TEST_CASE("padding in every mode, with pads below zero") {
  Random random(3);
  for (int round = 0; round < 400; ++round) {
    const auto mode = static_cast<PadMode>(random.between(0, 3));
    Shape src;
    for (int64_t rank = random.between(0, 4); rank > 0; --rank)
      src.push_back(random.between(mode == PadMode::Constant ? 0 : 1, 6));
    Strides begins, ends;
    Shape dst;
    for (Dim size : src) {
      begins.push_back(random.coin() ? 0 : random.between(size > 0 ? -size / 2 : 0, 9));
      const int64_t room = size + std::min<int64_t>(begins.back(), 0) - 1;
      ends.push_back(random.coin() ? 0 : random.between(std::min<int64_t>(0, -room), 9));
      dst.push_back(size + begins.back() + ends.back());
    }
    const DataType type = random.type();
    const Tensor from = numbered(type, src), value = numbered(type, Shape{300});
    Tensor to(type, dst);
    const Pad pad(type, mode, src, begins, ends);
    const size_t last = 299 * element_size(type);
    on_threads(random, [&](const Parallel& p) { pad.run(from.raw(), to.raw(), value.raw() + last, p); });
    const Strides strides = strides_of(src);
    bool right = true;
    for_each_index(dst, [&](int64_t i, const std::vector<int64_t>& at) {
      int64_t place = 0;
      bool inside = true;
      for (size_t d = 0; d < at.size(); ++d) {
        const int64_t front = std::max<int64_t>(0, -begins[d]), back = std::max<int64_t>(0, -ends[d]);
        const int64_t index = padded_index(mode, at[d] - std::max<int64_t>(0, begins[d]), src[d] - front - back);
        inside = inside && index >= 0;
        place += (index + front) * strides[d];
      }
      right = right && (inside ? same_item(to, i, from, place) : same_item(to, i, value, 299));
    });
    CHECK(right);
  }
}

TEST_CASE("every index of a gather is checked") {
  const Tensor data = numbered(DataType::Float, Shape{3, 4});
  const Parallel parallel(ThreadPool::instance(), 2);
  for (int64_t bad : {int64_t{3}, int64_t{-4}, INT64_MAX, INT64_MIN}) {
    const int64_t items[] = {0, bad};
    Tensor to(DataType::Float, Shape{2, 4});
    const Indices indices("Gather", DataType::Int64, reinterpret_cast<const std::byte*>(items));
    const GatherRows rows{DataType::Float, 1, 3, 4, 2};
    CHECK_THROWS_WITH_AS(rows.run(data.raw(), indices, to.raw(), parallel), doctest::Contains("is outside [-3, 2]"),
                         Error);
    TupleSlices slices{DataType::Float, 2, 2, 12, 4, Shape{3}, Strides{4}};
    CHECK_THROWS_AS(slices.gather(data.raw(), indices, to.raw(), parallel), Error);
    CHECK_THROWS_AS(scatter_tuples(slices, Reduction::Add, indices, data.raw(), to.raw()), Error);
  }
}

TEST_CASE("resizing reads and writes inside its buffers and keeps constants") {
  Random random(4);
  for (int round = 0; round < 400; ++round) {
    ResizeOptions options;
    options.mode = static_cast<ResizeMode>(random.between(0, 2));
    options.nearest = static_cast<NearestMode>(random.between(0, 3));
    options.coordinates = static_cast<CoordinateMode>(random.between(0, 4));
    options.antialias = options.mode != ResizeMode::Nearest && random.coin();
    options.exclude_outside = random.coin();
    Shape src, dst;
    std::vector<ResizeAxis> axes;
    for (int64_t rank = random.between(1, 4); rank > 0; --rank) {
      src.push_back(random.between(1, 9));
      dst.push_back(random.coin() ? src.back() : random.between(0, 20));
      const int axis = src.rank() - 1;
      if (dst.back() != src.back()) {
        const double scaled = static_cast<double>(dst.back()) + (random.coin() ? 0.3 : 0);
        axes.push_back(resize_axis(options, axis, src.back(), dst.back(), std::max(0.1, scaled)));
      }
    }
    for (DataType type : {DataType::Float, DataType::Double, DataType::Float16, DataType::UInt8, DataType::Int64}) {
      const Resize resize(type, src, axes, options);
      Tensor from(type, src), to(type, dst);
      const size_t size = element_size(type);
      for (int64_t i = 0; i < from.count(); ++i) {
        if (type == DataType::Float) from.data<float>()[i] = 7;
        if (type == DataType::Double) from.data<double>()[i] = 7;
        if (type == DataType::Float16) from.data<Float16>()[i] = to_float16(7);
        if (type == DataType::UInt8) from.data<uint8_t>()[i] = 7;
        if (type == DataType::Int64) from.data<int64_t>()[i] = 7;
      }
      std::vector<std::byte> workspace(resize.workspace_bytes());
      on_threads(random, [&](const Parallel& p) { resize.run(from.raw(), to.raw(), workspace.data(), p); });
      bool right = true;
      for (int64_t i = 0; i < to.count(); ++i) {
        if (type == DataType::Float)
          right = right && std::abs(to.data<float>()[i] - 7) < 1e-4;
        else if (type == DataType::Double)
          right = right && std::abs(to.data<double>()[i] - 7) < 1e-9;
        else
          right = right && std::equal(from.raw(), from.raw() + size, to.raw() + static_cast<size_t>(i) * size);
      }
      CHECK(right);
    }
  }
}

TEST_CASE("sampling survives every coordinate") {
  const float odd[] = {NAN, INFINITY, -INFINITY, 1e30F, -1e30F, 0, -1, 1, 0.999F, 3};
  const Parallel parallel(ThreadPool::instance(), 2);
  for (int mode = 0; mode < 3; ++mode) {
    for (int padding = 0; padding < 3; ++padding) {
      for (bool align : {false, true}) {
        for (int64_t size : {1, 4}) {
          const GridSample sample{DataType::Float,
                                  DataType::Float,
                                  Shape{1, 2, size, size},
                                  Shape{1, 10, 10, 2},
                                  static_cast<SampleMode>(mode),
                                  static_cast<SamplePadding>(padding),
                                  align};
          Tensor src(DataType::Float, sample.src), grid(DataType::Float, sample.grid),
              dst(DataType::Float, {1, 2, 10, 10});
          std::fill_n(src.data<float>(), src.count(), 1.0F);
          for (int64_t i = 0; i < 100; ++i) {
            grid.data<float>()[2 * i] = odd[i / 10];
            grid.data<float>()[2 * i + 1] = odd[i % 10];
          }
          sample.run(src.raw(), grid.raw(), dst.raw(), parallel);
          bool finite = true;
          for (float value : dst.span<float>()) finite = finite && std::abs(value) < 3;
          CHECK(finite);
        }
      }
    }
  }
}

}  // namespace
}  // namespace fastort::kernels
