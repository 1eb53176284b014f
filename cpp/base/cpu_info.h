#pragma once

#include <cstddef>
#include <string>

namespace fastort {

struct CacheSizes {
  size_t l1d, l2, l3;  // bytes; l3 is of the whole socket
};

// CPUs this process may use: the affinity mask, limited by the cgroup's quota (v1 and v2), at least 1.
int usable_cpus();

// Data cache sizes of the first usable CPU, with common values where the system does not tell.
const CacheSizes& cache_sizes();

struct CpuFeatures {
  bool avx2, fma, f16c, avx512, avx512_vnni, avx_vnni;
  bool amx_bf16, amx_int8;  // and the system lets this process use them
};
const CpuFeatures& cpu_features();

// The processor's marketing name, for reports.
const std::string& cpu_name();

}  // namespace fastort
