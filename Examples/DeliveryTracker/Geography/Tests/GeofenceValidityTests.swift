import Geography
import Testing

@Suite struct GeofenceValidityTests {
    private struct Validity: Decodable {
        let outer: [[Double]]
        let isValid: Bool
        let reason: String
    }

    @Test func `A ring is valid if shapely says so`() throws {
        for example in try fixture("validity", as: [Validity].self) {
            let isValid = (try? Polygon(outer: places(example.outer))) != nil
            #expect(isValid == example.isValid, "\(example.outer): \(example.reason)")
        }
    }

    private let square = [Place(0, 0), Place(0, 4), Place(4, 4), Place(4, 0)]

    @Test func `A ring may be closed or not, and may repeat a vertex`() throws {
        let polygon = try Polygon(outer: square)
        #expect(try Polygon(outer: square + [square[0]]) == polygon)
        #expect(try Polygon(outer: [square[0], square[0], square[1], square[2], square[3], square[0]]) == polygon)
        #expect(polygon.outer == square)
    }

    @Test func `A bow tie says which edges cross`() {
        #expect(throws: GeofenceError.selfIntersection(ring: 0, edges: [0, 2])) {
            try Polygon(outer: [Place(0, 0), Place(1, 1), Place(1, 0), Place(0, 1)])
        }
    }

    @Test func `Too few different vertices are counted`() {
        #expect(throws: GeofenceError.tooFewVertices(ring: 0, count: 0)) { try Polygon(outer: []) }
        #expect(throws: GeofenceError.tooFewVertices(ring: 0, count: 2)) {
            try Polygon(outer: [square[0], square[1], square[1], square[0]])
        }
        #expect(throws: GeofenceError.tooFewVertices(ring: 1, count: 1)) {
            try Polygon(outer: square, holes: [[Place(1, 1)]])
        }
    }

    @Test func `Vertices on one line, and a spike, are no area`() {
        #expect(throws: GeofenceError.self) { try Polygon(outer: [Place(0, 0), Place(1, 1), Place(2, 2)]) }
        #expect(throws: GeofenceError.selfIntersection(ring: 0, edges: [1, 2])) {
            try Polygon(
                outer: [Place(0, 0), Place(0, 4), Place(4, 4), Place(2, 4), Place(2, 2)].dropLast() + [Place(1, 4)])
        }
    }

    @Test func `The number of vertices is limited, not above and not below the limit`() throws {
        let circle = { (count: Int) in
            (0..<count).map { lisbon.destination(distance: 1000, bearing: Double($0) * 360 / Double(count)) }
        }
        #expect(try Polygon(outer: circle(Polygon.maximumVertices)).outer.count == 2000)
        #expect(throws: GeofenceError.tooManyVertices(2001)) { try Polygon(outer: circle(2001)) }
    }

    @Test func `Rings around a pole and rings half around the Earth are refused`() {
        #expect(throws: GeofenceError.enclosesPole(ring: 0)) {
            try Polygon(outer: [Place(80, 0), Place(80, 120), Place(80, -120)])
        }
        #expect(throws: GeofenceError.tooWide(180)) {
            try Polygon(outer: [Place(0, -90), Place(0, 0), Place(0, 90), Place(10, 0)])
        }
        #expect(throws: GeofenceError.self) {
            try Polygon(outer: [Place(-90, -180), Place(-90, 180), Place(90, 180), Place(90, -180)])
        }
    }

    @Test func `Holes must be within the outer ring, and apart`() throws {
        let hole = [Place(1, 1), Place(1, 2), Place(2, 2)]
        let touching = [Place(2, 2), Place(3, 3), Place(2, 3)]
        #expect(try Polygon(outer: square, holes: [hole, touching]).holes == [hole, touching])
        #expect(throws: GeofenceError.holeOutside(ring: 1)) {
            try Polygon(outer: square, holes: [[Place(3, 3), Place(3, 5), Place(5, 5)]])
        }
        #expect(throws: GeofenceError.holeOutside(ring: 1)) { try Polygon(outer: square, holes: [square.reversed()]) }
        #expect(throws: GeofenceError.holesOverlap(rings: [1, 2])) {
            try Polygon(outer: square, holes: [hole, hole.reversed()])
        }
        #expect(throws: GeofenceError.holesOverlap(rings: [1, 2])) {
            try Polygon(outer: square, holes: [hole, [Place(0.5, 0.5), Place(0.5, 3), Place(3, 3), Place(3, 0.5)]])
        }
    }

    @Test(arguments: [0, 0.999, 1_000_000.1, -5, .nan, .infinity, 1e300])
    func `A radius out of range is refused`(radius: Double) {
        let error = #expect(throws: GeofenceError.self) { try Circle(center: lisbon, radius: radius) }
        #expect(error?.description.contains("1.0...1000000.0 m") == true)
    }

    @Test func `A corridor needs a width and a line`() throws {
        #expect(throws: GeofenceError.width(0.5)) { try Corridor(line: [lisbon, Place(0, 0)], width: 0.5) }
        #expect(throws: GeofenceError.lineLength(1)) { try Corridor(line: [lisbon], width: 10) }
        #expect(throws: GeofenceError.lineLength(2001)) {
            try Corridor(line: Array(repeating: lisbon, count: 2001), width: 10)
        }
        // A line that stays where it is is a circle.
        let point = Geofence.corridor(try Corridor(line: [lisbon, lisbon], width: 100))
        #expect(point.contains(lisbon.destination(distance: 49.9, bearing: 10)))
        #expect(!point.contains(lisbon.destination(distance: 50.1, bearing: 10)))
    }
}
