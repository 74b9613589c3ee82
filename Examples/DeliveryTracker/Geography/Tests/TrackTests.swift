import Foundation
import Geography
import Testing

@Suite struct TrackTests {
    private struct Feature: Decodable {
        struct Geometry: Decodable {
            let type: String
            let lines: [[[Double]]]

            enum CodingKeys: CodingKey {
                case type, coordinates
            }

            init(from decoder: any Decoder) throws {
                let container = try decoder.container(keyedBy: CodingKeys.self)
                type = try container.decode(String.self, forKey: .type)
                lines =
                    type == "LineString"
                    ? [try container.decode([[Double]].self, forKey: .coordinates)]
                    : try container.decode([[[Double]]].self, forKey: .coordinates)
            }
        }

        struct Properties: Decodable {
            let name: String
        }

        let type: String
        let geometry: Geometry?
        let properties: Properties
    }

    private func feature(_ track: Track, as name: String) throws -> (Feature, String) {
        let text = track.geoJSON().joined()
        try export(text, as: "\(name).geojson")
        try export(track.gpx().joined(), as: "\(name).gpx")
        return (try JSONDecoder().decode(Feature.self, from: Data(text.utf8)), text)
    }

    @Test func `A track is a LineString with its times`() throws {
        let track = Track(name: "Order 7", fixes: [Fix(Place(38.71, -9.13), at: 1.25), Fix(Place(38.7, -9.13), at: 0)])
        let expected = """
            {"type":"Feature","geometry":{"type":"LineString","coordinates":[[-9.13,38.7],[-9.13,38.71]]},\
            "properties":{"name":"Order 7","coordTimes":["2023-11-14T22:13:20Z","2023-11-14T22:13:21.250Z"]}}
            """
        #expect(try feature(track, as: "line").1 == expected)
    }

    @Test func `A track is GPX 1_1 with a segment for each part between gaps`() throws {
        let track = Track(
            name: "A & <B> \"C\" 'D'\u{0}\u{1B}\r",
            fixes: [
                Fix(Place(38.7, -9.13), at: 0), Fix(Place(1e-6, 180), at: 60), Fix(Place(-90, 0.00000004), at: 400),
            ])
        let text = track.gpx().joined()
        try export(text, as: "gaps.gpx")
        #expect(
            text == """
                <?xml version="1.0" encoding="UTF-8"?>
                <gpx version="1.1" creator="DeliveryTracker" xmlns="http://www.topografix.com/GPX/1/1">
                <trk>
                <name>A &amp; &lt;B&gt; &quot;C&quot; &apos;D&apos;&#13;</name>
                <trkseg>
                <trkpt lat="38.7" lon="-9.13"><time>2023-11-14T22:13:20Z</time></trkpt>
                <trkpt lat="0.000001" lon="-180"><time>2023-11-14T22:14:20Z</time></trkpt>
                </trkseg>
                <trkseg>
                <trkpt lat="-90" lon="0"><time>2023-11-14T22:20:00Z</time></trkpt>
                </trkseg>
                </trk>
                </gpx>

                """)
    }

    @Test func `A line is split at gaps, and a part of one fix has two positions`() throws {
        let fixes = [0.0, 10, 20, 500, 1000, 1010].map { Fix(Place($0 / 1000, 5), at: $0) }
        let (feature, _) = try feature(Track(name: "gaps", fixes: fixes), as: "parts")
        #expect(feature.geometry?.type == "MultiLineString")
        #expect(
            feature.geometry?.lines == [
                [[5, 0], [5, 0.01], [5, 0.02]], [[5, 0.5], [5, 0.5]], [[5, 1], [5, 1.01]],
            ])
    }

    @Test func `A line is cut at the antimeridian, in both directions`() throws {
        let places = [Place(0, 179), Place(1, -178), Place(1, -179), Place(1, 180), Place(2, 179)]
        let fixes = places.enumerated().map { Fix($1, at: Double($0) * 60) }
        let (feature, text) = try feature(Track(name: "fiji", fixes: fixes), as: "antimeridian")
        #expect(
            feature.geometry?.lines == [
                [[179, 0], [180, 0.3333333]], [[-180, 0.3333333], [-178, 1], [-179, 1], [-180, 1]],
                [[180, 1], [180, 1], [179, 2]],
            ])
        #expect(text.contains(#""coordTimes":[["2023-11-14T22:13:20Z","2023-11-14T22:13:40Z"],["#))
    }

    @Test func `A track without fixes has no geometry, and names are escaped`() throws {
        let name = "\"\\ \n\u{1F}\u{2028}é😀</script>"
        let (feature, _) = try feature(Track(name: name), as: "empty")
        #expect(feature.type == "Feature" && feature.geometry == nil)
        #expect(feature.properties.name == name)
    }

    @Test func `A long track comes in pieces of limited size`() throws {
        let fixes = (0..<10_000).map { Fix(lisbon.destination(distance: Double($0), bearing: 45), at: Double($0)) }
        let track = Track(name: "long", fixes: fixes)
        let gpx = Array(track.gpx())
        #expect(gpx.count > 40 && gpx.allSatisfy { $0.utf8.count < 32_768 })
        #expect(gpx.joined().components(separatedBy: "<trkpt").count == 10_001)
        #expect(track.geoJSON().allSatisfy { $0.utf8.count < 16_384 })
        #expect(try feature(track, as: "long").0.geometry?.lines.first?.count == 10_000)
    }

    @Test func `Times of all years have the form of RFC 3339`() {
        let times: [(Double, String)] = [
            (0, "1970-01-01T00:00:00Z"), (-0.001, "1969-12-31T23:59:59.999Z"), (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199.9999, "2024-03-01T00:00:00Z"), (-62_135_596_800, "0001-01-01T00:00:00Z"),
            (1e300, "9999-12-31T23:59:59Z"), (-1e300, "0001-01-01T00:00:00Z"),
            (.infinity, "9999-12-31T23:59:59Z"), (.nan, "1970-01-01T00:00:00Z"),
        ]
        for (seconds, text) in times {
            let time = Date(timeIntervalSince1970: seconds)
            let track = Track(name: "", fixes: [Fix(place: lisbon, deviceTime: time, receivedAt: noon)])
            #expect(track.gpx().joined().contains("<time>\(text)</time>"), "\(seconds)")
            #expect(track.geoJSON().joined().contains("\"\(text)\""))
        }
        let random = Date(timeIntervalSince1970: 1_234_567_890.125)
        let text = random.ISO8601Format(.init(includingFractionalSeconds: true))
        let track = Track(name: "", fixes: [Fix(place: lisbon, deviceTime: random, receivedAt: noon)])
        #expect(track.gpx().joined().contains(text))
    }

    @Test func `Fixes are kept in order, and removed after the retention`() {
        var track = Track(name: "")
        for seconds in [5.0, 1, 3, 4, 2] { track.insert(Fix(lisbon, at: seconds)) }
        #expect(track.fixes.map { $0.time.timeIntervalSince(noon) } == [1, 2, 3, 4, 5])
        track.removeFixes(receivedBefore: noon + 3)
        #expect(track.fixes.count == 3)
        #expect(track.segments().count == 1)
    }
}
