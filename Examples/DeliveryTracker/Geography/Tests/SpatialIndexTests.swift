import Geography
import Testing

@Suite struct SpatialIndexTests {
    private struct Group: Decodable {
        struct Search: Decodable {
            let from: [Double]
            let nearest: [Int]
        }

        let places: [[Double]]
        let searches: [Search]
    }

    @Test(arguments: [10.0, 1000, 50_000, 1_000_000])
    func `The nearest are those of geographiclib, in a city, on the antimeridian, at the pole and far apart`(
        cellSize: Double
    ) throws {
        for group in try fixture("nearest", as: [Group].self) {
            var index = SpatialIndex<Int>(cellSize: cellSize)
            for (id, place) in group.places.enumerated() { index.update(id, to: Place(place)) }
            for search in group.searches {
                #expect(index.nearest(to: Place(search.from), limit: 12).map(\.id) == search.nearest)
            }
        }
    }

    @Test(arguments: [Place(38.7, -9.1), Place(-17, 180), Place(89.95, 0), Place(0, 0)])
    func `After many moves and removals, a search finds what looking at all finds`(center: Place) {
        var generator = Generator(state: 7)
        var index = SpatialIndex<Int>(cellSize: 500)
        var all: [Int: Place] = [:]
        for _ in 0..<3000 {
            let id = Int.random(in: 0..<400, using: &generator)
            if Int.random(in: 0..<4, using: &generator) == 0 {
                #expect(index.remove(id) == all.removeValue(forKey: id))
            } else {
                let place = center.destination(
                    distance: .random(in: 0...20_000, using: &generator),
                    bearing: .random(in: 0...360, using: &generator))
                index.update(id, to: place)
                all[id] = place
            }
        }
        #expect(index.count == all.count)
        #expect(all.allSatisfy { index[$0.key] == $0.value })
        for distance in [0.0, 3000, 25_000, 2_000_000] {
            let place = center.destination(distance: distance, bearing: 30)
            let sorted = all.map { (id: $0, distance: place.distance(to: $1)) }.sorted { $0.distance < $1.distance }
            #expect(index.nearest(to: place, limit: 15).map(\.id) == sorted.prefix(15).map(\.id))
            let even = sorted.filter { $0.id % 2 == 0 && $0.distance <= 8000 }.prefix(10).map(\.id)
            #expect(index.nearest(to: place, limit: 10, within: 8000) { $0 % 2 == 0 }.map(\.id) == even)
            for radius in [100.0, 5000, 50_000] {
                let box = BoundingBox(center: place, radius: radius)
                #expect(Set(index.ids(in: box)) == Set(all.filter { box.contains($0.value) }.keys))
            }
        }
    }

    @Test func `A driver at exactly the radius is found`() throws {
        var index = SpatialIndex<String>()
        let driver = lisbon.destination(distance: 3000, bearing: 33)
        index.update("driver", to: driver)
        let distance = lisbon.distance(to: driver)
        let found = try #require(index.nearest(to: lisbon, limit: 1, within: distance).first)
        #expect(found.id == "driver" && found.place == driver && found.distance == distance)
        #expect(index.nearest(to: lisbon, limit: 1, within: distance.nextDown).isEmpty)
    }

    @Test func `A search finds the driver at the antipode, and nobody in an empty index`() {
        var index = SpatialIndex<Int>()
        #expect(index.nearest(to: lisbon, limit: 5).isEmpty)
        index.update(1, to: Place(-38.7075, 170.8636))
        #expect(index.nearest(to: lisbon, limit: 5).map(\.id) == [1])
        #expect(index.remove(1) != nil && index.remove(1) == nil)
        #expect(index.nearest(to: lisbon, limit: 5).isEmpty)
    }

    @Test func `Absurd limits, radii and sizes of cells are harmless`() {
        for size in [Double.nan, 0, -1, .infinity, 1e300] {
            var index = SpatialIndex<Int>(cellSize: size)
            index.update(1, to: lisbon)
            index.update(2, to: Place(90, 180))
            index.update(3, to: Place(-90, -180))
            #expect(index.nearest(to: lisbon, limit: .max).map(\.id) == [1, 2, 3])
            #expect(index.nearest(to: lisbon, limit: 0).isEmpty && index.nearest(to: lisbon, limit: -1).isEmpty)
            #expect(index.nearest(to: lisbon, limit: 1, within: .nan).isEmpty)
            #expect(index.nearest(to: lisbon, limit: 1, within: -1).isEmpty)
            #expect(index.nearest(to: lisbon, limit: 9, within: 1e300).count == 3)
            let empty = BoundingBox(southWest: Place(10, 0), northEast: Place(-10, 1))
            #expect(index.ids(in: empty).isEmpty)
        }
    }
}

/// A generator of the same numbers in each run (SplitMix64).
struct Generator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
