#pragma once

#include "hwy/base.h"

namespace fastort::kernels {

// Fetches a line into the second cache: the first one is full of what is in use. Were it a call, GCC would leave it out
// as one without an effect.
HWY_INLINE void bring_nearer(const void* data) {
#if defined(__GNUC__)
  __builtin_prefetch(data, 0, 2);
#else
  (void)data;
#endif
}

}  // namespace fastort::kernels
