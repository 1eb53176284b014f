#include <algorithm>

#include "kernels/move/element.h"
#include "kernels/move/strided_copy.h"
#include "kernels/sample/sample.h"
#include "kernels/sample/types.h"

namespace fastort::kernels {

void Col2Im::run(const std::byte* src, std::byte* dst, const Parallel& parallel) const {
  const int dims = image.rank();
  const int64_t pixels = image.count(), taps = block.count(), places = windows.count();
  const Strides strides_of_image = strides_of(image);
  if (outer * pixels == 0) return;
  with_sampled_type(type, [&]<class T>(std::type_identity<T>) {
    parallel.range(outer, move_grain<T>() / std::max<int64_t>(1, taps * places), [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o) {
        T* plane = reinterpret_cast<T*>(dst) + o * pixels;
        std::fill_n(plane, pixels, T{});
        const T* from = reinterpret_cast<const T*>(src) + o * taps * places;
        for (int64_t tap = 0; tap < taps; ++tap) {
          for (int64_t place = 0; place < places; ++place) {
            int64_t offset = 0;
            bool inside = true;
            for (int64_t d = dims - 1, k = tap, w = place; d >= 0; --d) {
              const auto i = static_cast<size_t>(d);
              const int64_t at = w % windows[i] * strides[i] + k % block[i] * dilations[i] - pads_begin[i];
              k /= block[i];
              w /= windows[i];
              inside = inside && at >= 0 && at < image[i];
              offset += at * strides_of_image[i];
            }
            if (inside)
              plane[offset] = store_number<T>(load_number(plane[offset]) + load_number(from[tap * places + place]));
          }
        }
      }
    });
  });
}

}  // namespace fastort::kernels
