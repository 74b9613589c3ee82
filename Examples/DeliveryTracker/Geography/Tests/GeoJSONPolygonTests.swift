import Foundation
import Geography
import Testing

@Suite struct GeoJSONPolygonTests {
    private func decode<Value: Decodable>(_ text: String, as type: Value.Type = Value.self) throws -> Value {
        try JSONDecoder().decode(type, from: Data(text.utf8))
    }

    private struct Output: Decodable {
        let type: String
        let polygons: [[[[Double]]]]

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            type = try container.decode(String.self, forKey: .type)
            polygons =
                type == "Polygon"
                ? [try container.decode([[[Double]]].self, forKey: .coordinates)]
                : try container.decode([[[[Double]]]].self, forKey: .coordinates)
        }

        enum CodingKeys: CodingKey {
            case type, coordinates
        }
    }

    private func output(_ value: some Encodable) throws -> Output {
        try JSONDecoder().decode(Output.self, from: JSONEncoder().encode(value))
    }

    private func signedArea(_ ring: [[Double]]) -> Double {
        zip(ring, ring.dropFirst()).reduce(0) { $0 + ($1.0[0] * $1.1[1] - $1.1[0] * $1.0[1]) / 2 }
    }

    @Test func `A polygon with a hole is decoded, and encoded by the right-hand rule`() throws {
        let text = #"{"type":"Polygon","coordinates":[[[0,0,5],[0,4],[4,4],[4,0],[0,0,5]],[[1,1],[2,1],[2,2],[1,1]]]}"#
        let polygon: Polygon = try decode(text)
        #expect(polygon.contains(Place(3, 1)) && !polygon.contains(Place(1.2, 1.8)))
        let output = try output(polygon)
        #expect(output.type == "Polygon")
        try #require(output.polygons.map(\.count) == [2])
        #expect(signedArea(output.polygons[0][0]) == 16)
        #expect(signedArea(output.polygons[0][1]) == -0.5)
        #expect(output.polygons[0].allSatisfy { $0.first == $0.last })
    }

    @Test func `A polygon across the antimeridian is cut as in section 3_1_9 of the RFC`() throws {
        let polygon = try Polygon(outer: [Place(40, 170), Place(40, -170), Place(50, -170), Place(50, 170)])
        let output = try output(polygon)
        #expect(output.type == "MultiPolygon")
        #expect(
            output.polygons.map { $0.map { rotated($0, to: [$0[0][0] > 0 ? 170 : -170, 40]) } } == [
                [[[170, 40], [180, 40], [180, 50], [170, 50], [170, 40]]],
                [[[-170, 40], [-170, 50], [-180, 50], [-180, 40], [-170, 40]]],
            ])
        let area: MultiPolygon = try decode(String(decoding: JSONEncoder().encode(polygon), as: UTF8.self))
        for longitude in [169.9, 170, 179.99, 180, -180, -179.99, -170, -169.9] {
            #expect(area.contains(Place(45, longitude)) == polygon.contains(Place(45, longitude)))
        }
        // The border that the cut made does not divide a way.
        let way = Geofence.area(area).stretches(from: Place(45, 165), to: Place(45, -165))
        #expect(way.count == 1)
        #expect(try self.output(area).polygons.count == 2)
    }

    private func rotated(_ ring: [[Double]], to first: [Double]) -> [[Double]] {
        let open = ring.dropLast()
        guard let index = open.firstIndex(of: first) else { return ring }
        return Array(open[index...]) + Array(open[..<index]) + [first]
    }

    @Test func `Cut polygons have the parts and areas that shapely computes`() throws {
        for (number, example) in try fixture("polygons", as: [GeofenceTests.PolygonCase].self).enumerated() {
            let polygon = try example.polygon
            let output = try output(polygon)
            let areas = output.polygons.map { $0.reduce(0) { $0 + signedArea($1) } }.sorted()
            try #require(areas.count == example.parts.count)
            for (area, expected) in zip(areas, example.parts) { #expect(abs(area - expected) < 1e-9) }
            #expect(output.polygons.joined().joined().allSatisfy { abs($0[0]) <= 180 })
            try export(
                String(decoding: JSONEncoder().encode(polygon), as: UTF8.self), as: "polygon-\(number).polygon.json")
        }
    }

    @Test func `A ring that touches the antimeridian from the east is moved there, not cut`() throws {
        let polygon = try Polygon(outer: [Place(0, 180), Place(0, -170), Place(5, 180)])
        let output = try output(polygon)
        #expect(output.polygons.count == 1)
        #expect(output.polygons[0][0].allSatisfy { (-180...(-170)).contains($0[0]) })
    }

    @Test func `A comb on the antimeridian is cut into its teeth`() throws {
        let comb = try Polygon(outer: [
            Place(0, 178), Place(0, -178), Place(1, -178), Place(1, 179), Place(2, 179), Place(2, -178), Place(3, -178),
            Place(3, 180), Place(4, -178), Place(5, -178), Place(5, 178),
        ])
        let output = try output(comb)
        let areas = output.polygons.map { $0.reduce(0) { $0 + signedArea($1) } }.sorted()
        #expect(areas == [2, 2, 3, 9])
    }

    @Test func `What is wrong with a geometry is said`() {
        func expect(_ error: GeofenceError, _ text: String) {
            #expect(throws: error) { try decode(text, as: Polygon.self) }
        }
        expect(.unsupportedType("Point"), #"{"type":"Point","coordinates":[0,0]}"#)
        expect(.tooFewVertices(ring: 0, count: 0), #"{"type":"Polygon","coordinates":[]}"#)
        expect(.notClosed(ring: 0), #"{"type":"Polygon","coordinates":[[]]}"#)
        expect(.notClosed(ring: 0), #"{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1]]]}"#)
        expect(.numberOfPolygons(0), #"{"type":"MultiPolygon","coordinates":[]}"#)
        #expect(throws: PlaceError.longitude(-367.8)) {
            try decode(#"{"type":"Polygon","coordinates":[[[-367.8,1],[1,0],[1,1],[-367.8,1]]]}"#, as: Polygon.self)
        }
        #expect(throws: GeoJSONError.positionTooShort(1)) {
            try decode(#"{"type":"Polygon","coordinates":[[[0],[1,0],[1,1],[0]]]}"#, as: Polygon.self)
        }
    }

    @Test func `Every truncation of a geometry is refused`() {
        let text = #"{"type":"Polygon","coordinates":[[[0,0],[0,4],[4,4],[0,0]]]}"#
        #expect((try? decode(text, as: Polygon.self)) != nil)
        for count in 0..<text.count {
            #expect((try? decode(String(text.prefix(count)), as: Polygon.self)) == nil)
        }
    }
}
