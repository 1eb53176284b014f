#include "runtime/pack_cache.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "base/file_ranges.h"
#include "folder.h"
#include "runtime/pack_store.h"
#include "tensor/tensor.h"

namespace fastort {
namespace {

namespace fs = std::filesystem;

constexpr size_t kRoomy = size_t{1} << 30;

std::vector<std::byte> contents(size_t bytes, int seed = 0) {
  std::vector<std::byte> data(bytes);
  for (size_t i = 0; i < bytes; ++i) data[i] = static_cast<std::byte>(i * 7 + static_cast<size_t>(seed));
  return data;
}

bool holds(const std::shared_ptr<Buffer>& buffer, const std::vector<std::byte>& data) {
  return buffer && buffer->bytes() == data.size() && std::equal(data.begin(), data.end(), buffer->data());
}

TEST_CASE("The pack cache gives back what was stored, and nothing else") {
  const Folder folder("pack-cache");
  PackCache cache(folder.path.string(), kRoomy);
  const auto data = contents(100'000);
  CHECK(cache.load("weight/format", data.size()) == nullptr);
  cache.store("weight/format", data);
  const auto loaded = cache.load("weight/format", data.size());
  CHECK(holds(loaded, data));
  CHECK(reinterpret_cast<uintptr_t>(loaded->data()) % kAlignment == 0);
  CHECK(cache.load("weight/other", data.size()) == nullptr);
  CHECK(cache.load("weight/format", data.size() - 1) == nullptr);
  CHECK(folder.files().size() == 1);
  CHECK(holds(PackCache(folder.path.string(), kRoomy).load("weight/format", data.size()), data));
}

TEST_CASE("A damaged file of the pack cache is ignored and written anew") {
  const Folder folder("pack-cache");
  PackCache cache(folder.path.string(), kRoomy);
  const auto data = contents(50'000);
  cache.store("key", data);
  const fs::path file = folder.files().at(0);
  const auto whole = fs::file_size(file);
  const auto damage = [&](std::streamoff at) {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekg(at);
    const char old = static_cast<char>(stream.get());
    stream.seekp(at);
    stream.put(static_cast<char>(old ^ 1));
  };
  const auto is_mended = [&] {
    CHECK(cache.load("key", data.size()) == nullptr);
    cache.store("key", data);
    CHECK(holds(cache.load("key", data.size()), data));
  };
  SUBCASE("cut off") { fs::resize_file(file, whole / 2); }
  SUBCASE("empty") { fs::resize_file(file, 0); }
  SUBCASE("longer") { fs::resize_file(file, whole + 1); }
  SUBCASE("another magic number") { damage(0); }
  SUBCASE("another key") { damage(20); }
  SUBCASE("another sum") { damage(40); }
  SUBCASE("a changed bit of the weights") { damage(static_cast<std::streamoff>(whole) - 1); }
  SUBCASE("a hole where the weights were") {
    fs::resize_file(file, whole / 2);
    fs::resize_file(file, whole);
  }
  is_mended();
}

TEST_CASE("The file of another key under this key's name is not used") {
  const Folder folder("pack-cache");
  PackCache cache(folder.path.string(), kRoomy);
  const auto first = contents(40'000, 1), second = contents(40'000, 2);
  cache.store("first", first);
  const fs::path name_of_first = folder.files().at(0);
  cache.store("second", second);
  const auto files = folder.files();
  const fs::path name_of_second = files[0] == name_of_first ? files.at(1) : files.at(0);
  fs::rename(name_of_second, name_of_first);
  CHECK(cache.load("first", first.size()) == nullptr);
}

TEST_CASE("Files that stay mapped outlive their deletion") {
  const Folder folder("pack-cache");
  PackCache cache(folder.path.string(), kRoomy);
  const auto data = contents(70'000);
  cache.store("key", data);
  const auto loaded = cache.load("key", data.size());
  fs::remove_all(folder.path);
  CHECK(holds(loaded, data));
}

TEST_CASE("The pack cache deletes the files used longest ago above its bound") {
  const Folder folder("pack-cache");
  constexpr size_t kEach = 100'000;
  PackCache cache(folder.path.string(), 5 * (kEach + 4096));
  for (int i = 0; i < 4; ++i) cache.store("key" + std::to_string(i), contents(kEach, i));
  CHECK(folder.files().size() == 4);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(holds(cache.load("key0", kEach), contents(kEach, 0)));
  for (int i = 4; i < 12; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    cache.load("key0", kEach);
    cache.store("key" + std::to_string(i), contents(kEach, i));
    CHECK(folder.files().size() <= 5);
  }
  CHECK(cache.load("key0", kEach) != nullptr);
  CHECK(cache.load("key1", kEach) == nullptr);
  CHECK(cache.load("key11", kEach) != nullptr);
  const size_t before = folder.files().size();
  cache.store("too large", contents(6 * kEach));
  CHECK(folder.files().size() == before);
}

TEST_CASE("A killed writer's left-overs are not used and deleted when they are old") {
  const Folder folder("pack-cache");
  PackCache cache(folder.path.string(), 250'000);
  cache.store("key0", contents(100'000));
  const fs::path left = folder.files().at(0).string() + ".1-1.new";
  std::ofstream(left) << "half";
  fs::last_write_time(left, fs::file_time_type::clock::now() - std::chrono::hours(2));
  for (int i = 1; i < 5; ++i) cache.store("key" + std::to_string(i), contents(100'000, i));
  CHECK(!fs::exists(left));
}

TEST_CASE("A folder that cannot be written is no error") {
  PackCache cache("/proc/fastort-cannot-write-here", kRoomy);
  cache.store("key", contents(50'000));
  CHECK(cache.load("key", 50'000) == nullptr);
}

TEST_CASE("Many writers and readers share a folder of packed weights") {
  const Folder folder("pack-cache");
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      PackCache cache(folder.path.string(), kRoomy);  // one each, as processes have
      for (int round = 0; round < 20; ++round) {
        for (int i = 0; i < 4; ++i) {
          const std::string key = "key" + std::to_string(i);
          const auto data = contents(60'000 + static_cast<size_t>(i), i);
          if (const auto loaded = cache.load(key, data.size())) wrong[t] += !holds(loaded, data);
          if (round % 4 == static_cast<int>(t)) cache.store(key, data);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(std::accumulate(wrong.begin(), wrong.end(), 0) == 0);
  CHECK(folder.files().size() == 4);
}

TEST_CASE("The pack store takes packed weights from the cache instead of packing them") {
  const Folder folder("pack-cache");
  PackCache cache(folder.path.string(), kRoomy);
  Tensor weight(DataType::Float, Shape{10'000});
  std::iota(weight.data<float>(), weight.data<float>() + 10'000, 0.0f);
  int fills = 0;
  const auto pack = [&] {
    SharedPackStore store;  // one each, as processes have
    return store.get(
        weight, "copy", weight.bytes(),
        [&](std::byte* dst) {
          ++fills;
          std::memcpy(dst, weight.raw(), weight.bytes());
        },
        &cache);
  };
  const auto first = pack();
  const auto second = pack();
  CHECK(fills == 1);
  CHECK(std::memcmp(first->data(), second->data(), weight.bytes()) == 0);
  weight.data<float>()[5] = 6;
  pack();
  CHECK(fills == 2);
}

TEST_CASE("Weights that lie where they lay in an unchanged file are not read to be found again") {
  const Folder folder("pack-cache");
  // Contents that stand for a mapped file; where they are changed behind the identity's back, nobody notices.
  const auto get = [&](const std::string& identity, int seed, int& fills) {
    PackCache cache(folder.path.string(), kRoomy);
    SharedPackStore store;  // one each, as processes have
    auto file = contents(200'000, seed);
    note_file_range(file.data(), file.size(), identity);
    const Tensor weight(DataType::Float, Shape{10'000}, Buffer::wrap(file.data() + 64'000, 40'000, [] {}));
    const auto packed = store.get(
        weight, "copy", weight.bytes(),
        [&](std::byte* dst) {
          ++fills;
          std::memcpy(dst, weight.raw(), weight.bytes());
        },
        &cache);
    const bool own = std::memcmp(packed->data(), file.data() + 64'000, 40'000) == 0;
    forget_file_range(file.data());
    cache.settle();
    return own;
  };
  int fills = 0;
  CHECK(get("one", 0, fills));
  CHECK(fills == 1);
  CHECK_FALSE(get("one", 5, fills));  // the same packed weight, without a look
  CHECK(fills == 1);
  CHECK(get("two", 5, fills));
  CHECK(fills == 2);
  CHECK(get("", 0, fills));
  CHECK(fills == 2);
}

TEST_CASE("A packed weight that changed after its sum was right is found out") {
  const Folder folder("pack-cache");
  const auto data = contents(90'000);
  {
    PackCache cache(folder.path.string(), kRoomy);
    cache.store("key", data);
    cache.settle();
  }
  const auto files = folder.files();
  const auto packed =
      *std::find_if(files.begin(), files.end(), [](const fs::path& p) { return p.extension() == ".packed"; });
  for (int run = 0; run < 3; ++run) {
    PackCache cache(folder.path.string(), kRoomy);
    CHECK(holds(cache.load("key", data.size()), data));
    cache.settle();
  }
  const auto time = fs::last_write_time(packed);
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  {
    std::fstream stream(packed, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(80'000);
    stream.put('x');
  }
  fs::last_write_time(packed, time);
  CHECK(PackCache(folder.path.string(), kRoomy).load("key", data.size()) == nullptr);
}

TEST_CASE("Places in files are found while they are noted") {
  std::vector<std::byte> memory(1000);
  CHECK_FALSE(file_place(memory.data(), 10));
  note_file_range(memory.data(), 900, "file");
  CHECK(file_place(memory.data(), 900)->offset == 0);
  CHECK(file_place(memory.data() + 100, 800)->offset == 100);
  CHECK(file_place(memory.data() + 100, 800)->file == "file");
  CHECK_FALSE(file_place(memory.data() + 100, 801));
  CHECK_FALSE(file_place(memory.data() + 950, 1));
  CHECK_FALSE(file_place(memory.data() - 1, 1));
  forget_file_range(memory.data());
  CHECK_FALSE(file_place(memory.data(), 10));
}

}  // namespace
}  // namespace fastort
