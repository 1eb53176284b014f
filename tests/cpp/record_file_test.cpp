#include "base/record_file.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "folder.h"

namespace fastort {
namespace {

namespace fs = std::filesystem;

constexpr size_t kRoomy = size_t{1} << 20;

std::string key(int i) {
  std::string text = std::to_string(i);
  return std::string(RecordFile::kKeyBytes - text.size(), '.') + text;
}

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

TEST_CASE("Records come back, the latest of a key") {
  const Folder folder("records");
  const fs::path records = folder.path / "test.records";
  RecordFile first(records.string(), kRoomy);
  CHECK_FALSE(first.find(key(1)));
  first.put(key(1), "one");
  first.put(key(2), std::string("t\0o", 3));
  first.put(key(3), "");
  first.put(key(1), "won");
  CHECK(first.find(key(1)) == "won");
  CHECK_FALSE(fs::exists(records));
  first.save();
  RecordFile second(records.string(), kRoomy);
  CHECK(second.find(key(1)) == "won");
  CHECK(second.find(key(2)) == std::string("t\0o", 3));
  CHECK(second.find(key(3)) == "");
  CHECK_FALSE(second.find(key(4)));
  const auto written = fs::last_write_time(records);
  second.save();  // nothing was added
  CHECK(fs::last_write_time(records) == written);
}

TEST_CASE("Records that others wrote in the meantime stay") {
  const Folder folder("records");
  const fs::path records = folder.path / "test.records";
  RecordFile first(records.string(), kRoomy), second(records.string(), kRoomy);
  CHECK_FALSE(first.find(key(1)));
  CHECK_FALSE(second.find(key(1)));
  first.put(key(1), "first");
  first.put(key(3), "old");
  second.put(key(2), "second");
  second.put(key(3), "new");
  first.save();
  second.save();
  RecordFile third(records.string(), kRoomy);
  CHECK(third.find(key(1)) == "first");
  CHECK(third.find(key(2)) == "second");
  CHECK(third.find(key(3)) == "new");
}

TEST_CASE("A damaged file of records is not used, and is replaced") {
  const Folder folder("records");
  const fs::path records = folder.path / "test.records";
  {
    RecordFile file(records.string(), kRoomy);
    for (int i = 0; i < 20; ++i) file.put(key(i), "value " + std::to_string(i));
    file.save();
  }
  const std::string good = read(records);
  std::vector<std::string> damaged = {"", "short", good.substr(0, good.size() - 1), good + "x"};
  for (const size_t at : {size_t{0}, size_t{9}, size_t{20}, size_t{40}, size_t{50}, good.size() - 1}) {
    damaged.push_back(good);
    damaged.back()[at] = static_cast<char>(damaged.back()[at] ^ 4);
  }
  for (const std::string& text : damaged) {
    write(records, text);
    RecordFile file(records.string(), kRoomy);
    CHECK_FALSE(file.find(key(0)));
    file.put(key(7), "again");
    file.save();
    CHECK(RecordFile(records.string(), kRoomy).find(key(7)) == "again");
  }
}

TEST_CASE("A file of records is bounded: the oldest go") {
  const Folder folder("records");
  const fs::path records = folder.path / "test.records";
  constexpr size_t kBytes = 2000;
  for (int i = 0; i < 100; ++i) {
    RecordFile file(records.string(), kBytes);
    file.put(key(i), std::string(80, 'v'));
    file.save();
  }
  CHECK(fs::file_size(records) <= kBytes + 32);
  RecordFile file(records.string(), kBytes);
  CHECK(file.find(key(99)));
  CHECK(file.find(key(90)));
  CHECK_FALSE(file.find(key(10)));
  file.put(key(200), std::string(kBytes, 'x'));  // would not fit
  file.save();
  CHECK(fs::file_size(records) <= kBytes + 32);
}

TEST_CASE("Many may write a file of records at once") {
  const Folder folder("records");
  const fs::path records = folder.path / "test.records";
  std::vector<std::thread> writers;
  for (int w = 0; w < 4; ++w)
    writers.emplace_back([&records, w] {
      for (int i = 0; i < 25; ++i) {
        RecordFile file(records.string(), kRoomy);
        file.put(key(w * 100 + i), std::to_string(w * 100 + i));
        file.save();
      }
    });
  for (std::thread& writer : writers) writer.join();
  int found = 0;
  RecordFile file(records.string(), kRoomy);
  for (int k = 0; k < 400; ++k)
    if (const auto value = file.find(key(k))) {
      CHECK(*value == std::to_string(k));
      ++found;
    }
  CHECK(found == 100);
  CHECK(std::distance(fs::directory_iterator(folder.path), {}) == 1);
}

TEST_CASE("A file of records that cannot be written does no harm") {
  const Folder folder("records");
  const fs::path records = folder.path / "test.records";
  write(folder.path, "no folder");
  RecordFile file(records.string(), kRoomy);
  file.put(key(1), "one");
  file.save();
  CHECK(file.find(key(1)) == "one");
  CHECK(read(folder.path) == "no folder");
}

}  // namespace
}  // namespace fastort
