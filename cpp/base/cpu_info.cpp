#include "base/cpu_info.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace fastort {
namespace {

#if defined(__linux__)

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

int affinity_cpus() {
  // The kernel refuses a mask smaller than its own: grow it until it fits.
  for (int cpus = 1024; cpus <= 1 << 20; cpus *= 2) {
    cpu_set_t* set = CPU_ALLOC(cpus);
    if (set == nullptr) return 0;
    const size_t bytes = CPU_ALLOC_SIZE(cpus);
    CPU_ZERO_S(bytes, set);
    const bool ok = sched_getaffinity(0, bytes, set) == 0;
    const int count = ok ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (ok) return count;
  }
  return 0;
}

int first_usable_cpu() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &set)) return cpu;
  return 0;
}

// CPUs that "quota period" allows, or infinity.
double quota_cpus(const std::string& quota, const std::string& period) {
  const double allowed = std::strtod(quota.c_str(), nullptr);
  const double per = std::strtod(period.c_str(), nullptr);
  return allowed > 0 && per > 0 ? allowed / per : INFINITY;
}

double quota_v2(const std::string& folder) {
  std::istringstream line(first_line(folder + "/cpu.max"));
  std::string quota, period;
  line >> quota >> period;
  return quota_cpus(quota, period);
}

double quota_v1(const std::string& folder) {
  return quota_cpus(first_line(folder + "/cpu.cfs_quota_us"), first_line(folder + "/cpu.cfs_period_us"));
}

// The smallest quota of the group and of all above it. Inside a container the path may be the host's: what does not
// exist there limits nothing, and the walk ends at the mount's root, which is the container's own group.
double smallest_quota(const std::string& mount, std::string group, double (*read)(const std::string&)) {
  double smallest = INFINITY;
  for (;;) {
    smallest = std::min(smallest, read(mount + group));
    const size_t slash = group.rfind('/');
    if (slash == std::string::npos) return smallest;
    group.resize(slash);
  }
}

double cgroup_cpus() {
  double smallest = INFINITY;
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::string group = line.substr(second + 1);
    while (!group.empty() && group.back() == '/') group.pop_back();
    if (controllers.empty()) {
      for (const char* mount : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"})
        smallest = std::min(smallest, smallest_quota(mount, group, quota_v2));
    } else if (("," + controllers + ",").find(",cpu,") != std::string::npos) {
      for (const std::string& mount : {std::string("/sys/fs/cgroup/cpu"), "/sys/fs/cgroup/" + controllers})
        smallest = std::min(smallest, smallest_quota(mount, group, quota_v1));
    }
  }
  return smallest;
}

size_t parse_size(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (!(value > 0)) return 0;
  const double unit = *end == 'K' ? 1024.0 : *end == 'M' ? 1024.0 * 1024.0 : 1.0;
  return static_cast<size_t>(value * unit);
}

void read_cache_sizes(CacheSizes& sizes) {
  const std::string folder = "/sys/devices/system/cpu/cpu" + std::to_string(first_usable_cpu()) + "/cache/index";
  for (int index = 0; index < 8; ++index) {
    const std::string cache = folder + std::to_string(index);
    const size_t bytes = parse_size(first_line(cache + "/size"));
    if (bytes == 0 || first_line(cache + "/type") == "Instruction") continue;
    const std::string level = first_line(cache + "/level");
    if (level == "1") sizes.l1d = bytes;
    if (level == "2") sizes.l2 = bytes;
    if (level == "3") sizes.l3 = bytes;
  }
}

#elif defined(__APPLE__)

size_t sysctl_size(const char* name, size_t fallback) {
  uint64_t value = 0;
  size_t bytes = sizeof(value);
  return sysctlbyname(name, &value, &bytes, nullptr, 0) == 0 && value != 0 ? static_cast<size_t>(value) : fallback;
}

void read_cache_sizes(CacheSizes& sizes) {
  sizes.l1d = sysctl_size("hw.l1dcachesize", sizes.l1d);
  sizes.l2 = sysctl_size("hw.l2cachesize", sizes.l2);
  sizes.l3 = sysctl_size("hw.l3cachesize", sizes.l3);
}

#else

void read_cache_sizes(CacheSizes&) {}

#endif

std::string read_cpu_name() {
#if defined(__linux__)
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) != 0) continue;
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const size_t start = line.find_first_not_of(" \t", colon + 1);
    if (start != std::string::npos) return line.substr(start);
  }
#elif defined(__APPLE__)
  char text[256] = {};
  size_t bytes = sizeof(text) - 1;
  if (sysctlbyname("machdep.cpu.brand_string", text, &bytes, nullptr, 0) == 0) return text;
#elif defined(_WIN32)
  if (const char* text = std::getenv("PROCESSOR_IDENTIFIER")) return text;
#endif
  return "unknown processor";
}

// The matrix unit's registers are 8 KB, which Linux keeps only for processes that ask for them.
void read_amx(CpuFeatures& features) {
#if defined(__linux__) && defined(__x86_64__)
  constexpr unsigned kBfloat16 = 1u << 22, kTiles = 1u << 24, kInt8 = 1u << 25;
  constexpr long kAskForState = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!features.avx512 || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & kTiles) == 0) return;
  if (syscall(SYS_arch_prctl, kAskForState, kTileData) != 0) return;
  features.amx_bf16 = (d & kBfloat16) != 0;
  features.amx_int8 = (d & kInt8) != 0;
#else
  (void)features;
#endif
}

CpuFeatures read_cpu_features() {
  CpuFeatures features{};
#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
  __builtin_cpu_init();
  features.avx2 = __builtin_cpu_supports("avx2");
  features.fma = __builtin_cpu_supports("fma");
  features.avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  features.avx512_vnni = features.avx512 && __builtin_cpu_supports("avx512vnni");
  read_amx(features);
#if !defined(__clang__)
  features.f16c = __builtin_cpu_supports("f16c");
  features.avx_vnni = __builtin_cpu_supports("avxvnni");
#else
  features.f16c = features.avx2;  // every processor with AVX2 has it
#endif
#endif
  return features;
}

}  // namespace

int usable_cpus() {
  int cpus = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
  if (const int allowed = affinity_cpus()) cpus = allowed;
  // Part of a CPU counts as one: 1.5 CPUs keep two threads busy most of the time.
  const double quota = std::ceil(cgroup_cpus());
  if (quota < cpus) cpus = static_cast<int>(quota);
#endif
  return std::max(cpus, 1);
}

const CacheSizes& cache_sizes() {
  static const CacheSizes kSizes = [] {
    CacheSizes sizes{32 << 10, 512 << 10, 8 << 20};
    read_cache_sizes(sizes);
    return sizes;
  }();
  return kSizes;
}

const CpuFeatures& cpu_features() {
  static const CpuFeatures kFeatures = read_cpu_features();
  return kFeatures;
}

const std::string& cpu_name() {
  static const std::string* const kName = new std::string(read_cpu_name());
  return *kName;
}

}  // namespace fastort
