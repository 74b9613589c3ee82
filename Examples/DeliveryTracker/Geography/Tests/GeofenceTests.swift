import Geography
import Testing

@Suite struct GeofenceTests {
    struct PolygonCase: Decodable {
        struct Point: Decodable {
            let at: [Double]
            let covers: Bool
        }

        struct Way: Decodable {
            let ends: [[Double]]
            let stretches: [[Double]]
        }

        let outer: [[Double]]
        let holes: [[[Double]]]
        let points: [Point]
        let ways: [Way]
        /// The areas of the parts between the antimeridians, in square degrees.
        let parts: [Double]

        var polygon: Polygon {
            get throws { try Polygon(outer: places(outer), holes: holes.map(places)) }
        }
    }

    @Test func `Points are in polygons as shapely says, also near edges, in holes and across the antimeridian`() throws
    {
        var points = 0
        for example in try fixture("polygons", as: [PolygonCase].self) {
            let fence = Geofence.polygon(try example.polygon)
            for point in example.points {
                points += 1
                #expect(fence.contains(place(point.at)) == point.covers, "\(point.at)")
            }
        }
        #expect(points > 900)
    }

    @Test func `The parts of a way inside a polygon are those of shapely`() throws {
        for example in try fixture("polygons", as: [PolygonCase].self) {
            let fence = Geofence.polygon(try example.polygon)
            for way in example.ways {
                let stretches = fence.stretches(from: place(way.ends[0]), to: place(way.ends[1]))
                #expect(stretches.count == way.stretches.count)
                for (stretch, expected) in zip(stretches, way.stretches) {
                    #expect(abs(stretch.lowerBound - expected[0]) < 1e-7)
                    #expect(abs(stretch.upperBound - expected[1]) < 1e-7)
                }
            }
        }
    }

    private struct BorderDistance: Decodable {
        let line: [[Double]]
        let at: [Double]
        let distance: Double
    }

    @Test func `Distances from a line are right, also across the antimeridian`() throws {
        for example in try fixture("border-distances", as: [BorderDistance].self) {
            let corridor = Geofence.corridor(try Corridor(line: places(example.line), width: 200))
            let distance = corridor.signedDistance(to: place(example.at)) + 100
            #expect(abs(distance - example.distance) < 0.05 + 0.001 * example.distance)
        }
    }

    @Test func `A circle contains its border and what is within`() throws {
        let circle = Geofence.circle(try Circle(center: Place(-17, 179.999), radius: 500))
        #expect(circle.contains(Place(-17, -179.998)))
        #expect(!circle.contains(Place(-17, -179.99)))
        #expect(abs(circle.signedDistance(to: Place(-17, 179.999)) + 500) < 1e-9)
    }

    @Test func `A way through a circle is inside between two points at the radius`() throws {
        let circle = Geofence.circle(try Circle(center: lisbon, radius: 30))
        let start = lisbon.destination(distance: 400, bearing: 250)
        let end = lisbon.destination(distance: 600, bearing: 70)
        let stretch = try #require(circle.stretches(from: start, to: end).first)
        #expect(abs(stretch.lowerBound - 0.37) < 0.0001)
        #expect(abs(stretch.upperBound - 0.43) < 0.0001)
        // 400 m away, 30 m are seen at an angle of 4.3 degrees.
        #expect(circle.stretches(from: start, to: start.destination(distance: 900, bearing: 74)).count == 1)
        #expect(circle.stretches(from: start, to: start.destination(distance: 900, bearing: 75)).isEmpty)
    }

    @Test func `A way across a corridor on the antimeridian is inside for the corridor's width`() throws {
        let corridor = Geofence.corridor(try Corridor(line: [Place(-1, 180), Place(1, -180)], width: 100))
        let (start, end) = (Place(0, 179.99), Place(0, -179.99))
        let stretches = corridor.stretches(from: start, to: end)
        try #require(stretches.count == 1)
        let metres = (stretches[0].upperBound - stretches[0].lowerBound) * start.distance(to: end)
        #expect(abs(metres - 100) < 0.01)
        #expect(corridor.contains(Place(1.0004, 180)))
        #expect(!corridor.contains(Place(1.0005, 180)))
    }

    @Test func `A way that folds through two arms of an area is inside twice`() throws {
        let arms = try Polygon(outer: [
            Place(0, 0), Place(0, 3), Place(3, 3), Place(3, 2), Place(1, 2), Place(1, 1), Place(3, 1), Place(3, 0),
        ])
        let stretches = Geofence.polygon(arms).stretches(from: Place(2, -1), to: Place(2, 4))
        #expect(stretches == [0.2...0.4, 0.6...0.8])
        // Along the border is inside, and touching a corner is not.
        #expect(Geofence.polygon(arms).stretches(from: Place(3, -1), to: Place(3, 0)).isEmpty)
        #expect(Geofence.polygon(arms).stretches(from: Place(0, 0), to: Place(0, 3)) == [0...1])
    }

    @Test func `An area of two islands contains both and not the sea`() throws {
        let west = try Polygon(outer: [Place(0, 0), Place(0, 1), Place(1, 1)])
        let east = try Polygon(outer: [Place(0, 5), Place(0, 6), Place(1, 6)])
        let area = Geofence.area(try MultiPolygon([west, east]))
        #expect(area.contains(Place(0.2, 0.5)) && area.contains(Place(0.2, 5.5)))
        #expect(!area.contains(Place(0.2, 3)))
        #expect(area.stretches(from: Place(0, -1), to: Place(0, 7)).count == 2)
    }
}

/// A position in the order of GeoJSON.
func place(_ position: [Double]) -> Place { Place(position[1], position[0]) }
func places(_ positions: [[Double]]) -> [Place] { positions.map { place($0) } }
