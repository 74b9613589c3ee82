import Foundation
import Geography
import Testing

@Suite struct PlaceTests {
    @Test func `The ends of the ranges are places`() throws {
        #expect(try Place(latitude: 90, longitude: -180).latitude == 90)
        #expect(try Place(latitude: -90, longitude: 180).longitude == 180)
    }

    @Test(arguments: [90.000001, -91, .nan, .infinity, -.infinity, 1e300])
    func `A latitude out of range is refused`(latitude: Double) {
        let error = #expect(throws: PlaceError.self) { try Place(latitude: latitude, longitude: 0) }
        guard case .latitude? = error else {
            Issue.record("The error is \(String(describing: error)).")
            return
        }
    }

    @Test func `Decoding refuses coordinates out of range and says which`() throws {
        let valid = try JSONDecoder().decode(Place.self, from: Data(#"{"latitude":38.7,"longitude":-9.1}"#.utf8))
        #expect(valid == Place(38.7, -9.1))
        #expect(try JSONDecoder().decode(Place.self, from: JSONEncoder().encode(valid)) == valid)
        for text in [
            #"{"latitude":90.5,"longitude":0}"#, #"{"latitude":0,"longitude":-367.8}"#,
            #"{"latitude":1e300,"longitude":0}"#,
        ] {
            let error = #expect(throws: DecodingError.self) {
                try JSONDecoder().decode(Place.self, from: Data(text.utf8))
            }
            guard case .dataCorrupted(let context)? = error else { continue }
            #expect(context.debugDescription.contains("it must be in"))
            #expect(context.codingPath.count == 1)
        }
    }

    @Test func `Wrapping makes a place of any numbers`() {
        #expect(Place(wrapping: 91, 190) == Place(wrapping: 90, -170))
        #expect(Place(wrapping: -100, -540).longitude.magnitude == 180)
        #expect(Place(wrapping: .nan, .infinity) == Place(wrapping: 0, 0))
        let absurd = Place(wrapping: -1e300, 1e300)
        #expect(absurd.latitude == -90 && (-180...180).contains(absurd.longitude))
    }

    // MARK: Great circles

    private struct GreatCircle: Decodable {
        let from, to, middle: [Double]
        let distance, bearing, wgs84, fraction: Double
    }

    @Test func `Distances, bearings and interpolated places are those of geographiclib on the sphere`() throws {
        for line in try fixture("great-circles", as: [GreatCircle].self) {
            let (start, end) = (Place(line.from), Place(line.to))
            let distance = start.distance(to: end)
            // Near the antipode, the haversine formula has fewer digits.
            let tolerance = line.distance > 19_900_000 ? 1 : 1e-6 + line.distance * 1e-10
            #expect(abs(distance - line.distance) < tolerance)
            #expect(abs(distance - end.distance(to: start)) < 1e-6)
            #expect(abs(distance - line.wgs84) <= 0.0057 * line.wgs84 + 1e-6)
            guard line.distance > 0, line.distance < 19_900_000, abs(line.from[0]) < 90 else { continue }
            let turn = (start.bearing(to: end) - line.bearing).remainder(dividingBy: 360)
            #expect(abs(turn) < max(1e-7, 1e-3 / line.distance))
            #expect((0..<360).contains(start.bearing(to: end)))
            let middle = start.interpolated(to: end, fraction: line.fraction)
            #expect(middle.distance(to: Place(line.middle)) < 0.001)
            #expect(start.interpolated(to: end, fraction: 1).distance(to: end) < 0.001)
            #expect(start.interpolated(to: end, fraction: 0).distance(to: start) < 0.001)
        }
    }

    private struct Destination: Decodable {
        let from, to: [Double]
        let distance, bearing: Double
    }

    @Test func `Destinations are those of geographiclib on the sphere`() throws {
        for line in try fixture("destinations", as: [Destination].self) {
            let end = Place(line.from).destination(distance: line.distance, bearing: line.bearing)
            #expect(end.distance(to: Place(line.to)) < 0.001)
        }
    }

    @Test func `The distance across the antimeridian is short, and that from pole to pole is half the Earth`() {
        #expect(abs(Place(0, 179.999).distance(to: Place(0, -179.999)) - 222.39) < 0.01)
        #expect(Place(10, 180).distance(to: Place(10, -180)) < 1e-6)
        #expect(abs(Place(90, 0).distance(to: Place(-90, 77)) - .pi * 6_371_008.7714) < 1e-3)
        #expect(Place(90, 0).distance(to: Place(90, 120)) < 1e-6)
    }

    @Test func `The bearing across the antimeridian is the short way`() {
        #expect(Place(0, 179).bearing(to: Place(0, -179)) == 90)
        #expect(Place(0, -179).bearing(to: Place(0, 179)) == 270)
        #expect(lisbon.bearing(to: lisbon) == 0)
    }

    @Test(arguments: [Double.nan, .infinity, -.infinity])
    func `A distance or bearing that is not finite leads nowhere`(value: Double) {
        #expect(lisbon.destination(distance: value, bearing: 0) == lisbon)
        #expect(lisbon.destination(distance: 1, bearing: value) == lisbon)
        #expect(lisbon.interpolated(to: Place(0, 0), fraction: value) == lisbon)
        #expect(lisbon.destination(distance: 1e300, bearing: 1e300).latitude.isFinite)
    }
}
